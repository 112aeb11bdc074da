"""Who may connect to an ipc socket, by the permissions of its file and folders. Linux only."""

from __future__ import annotations

import os
import stat

__all__ = ["permissions"]


def permissions(path: str, root: str = "") -> tuple[bool | None, str, str]:
    """Whether every user may connect to the socket at ``path``, where they could replace it, and the modes in words.

    unix(7): connecting needs write permission on the socket, and search permission on each folder above; unlink(2):
    replacing needs write and search permission on its folder, unless that is sticky. None: it cannot be seen.
    """
    try:
        mode = os.stat(f"{root}{path}", follow_symlinks=False).st_mode
        above, folder = [], os.path.dirname(path)
        while True:
            above.append((folder, os.stat(f"{root}{folder}").st_mode))
            if folder in ("/", ""):
                break
            folder = os.path.dirname(folder)
    except OSError:
        return None, "", ""
    above.reverse()
    replaceable, searched = "", True
    for folder, bits in above:
        searched = searched and bool(bits & stat.S_IXOTH)
        if searched and bits & stat.S_IWOTH and not bits & stat.S_ISVTX:
            replaceable = folder
    why = f"{stat.filemode(mode)} {path}"
    if replaceable:
        why += f" in {stat.filemode(dict(above)[replaceable])} {replaceable}"
    return searched and bool(mode & stat.S_IWOTH), replaceable, why
