"""Keys and passwords: read in every form, wrong ones said without showing them, secrets never written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zmq
import zmq.auth
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from zmqfuzz.assembly import Spec
from zmqfuzz.credentials import Credentials, z85_decode, z85_encode
from zmqfuzz.errors import UsageError

PUBLIC, SECRET = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
"""The pair of zmq_curve(7)."""


@given(st.binary(max_size=80).map(lambda octets: octets[: len(octets) // 4 * 4]))
def test_z85_is_that_of_libzmq(octets: bytes) -> None:
    assert z85_encode(octets).encode() == z85.encode(octets)
    assert z85_decode(z85_encode(octets)) == octets


@given(st.text(max_size=45))
def test_what_is_no_key_is_a_sentence(text: str) -> None:
    if not text or len(text) == 40 or text.startswith("@"):
        return
    with pytest.raises(UsageError, match="40 characters of Z85"):
        Credentials.read(server_key=text)


def test_a_pair_of_keys_that_holds_colons_is_cut_in_its_middle() -> None:
    known = Credentials.read(client_key=f"{PUBLIC}:{SECRET}")
    assert (z85_encode(known.client_public), z85_encode(known.client_secret)) == (PUBLIC, SECRET)


def test_keys_come_from_files(tmp_path: Path) -> None:
    public, secret = zmq.auth.create_certificates(tmp_path, "pair")
    pair = zmq.auth.load_certificate(secret)
    known = Credentials.read(server_key=f"@{public}", client_key=f"@{secret}", our_secret_key=f"@{secret}")
    assert (z85_encode(known.server_key).encode(), z85_encode(known.client_secret).encode()) == pair
    assert known.our_secret == known.client_secret
    (tmp_path / "bare").write_text(f"{PUBLIC}:{SECRET}\n")
    assert z85_encode(Credentials.read(client_key=f"@{tmp_path}/bare").client_public) == PUBLIC


@pytest.mark.parametrize(
    "wrong", [{"client_key": SECRET}, {"client_key": f"{SECRET};{SECRET}"}, {"our_secret_key": SECRET[:-1]}]
)
def test_a_mistake_shows_no_secret(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        Credentials.read(**wrong)
    assert SECRET[:8] not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none cannot be read"):
        Credentials.read(server_key=f"@{tmp_path}/none")


def test_a_key_may_begin_with_the_sign_of_a_file() -> None:
    key, secret = "@" + PUBLIC[1:], "@" + SECRET[1:]
    known = Credentials.read(server_key=key, client_key=f"{key}:{secret}", our_secret_key=secret)
    assert z85_encode(known.server_key) == z85_encode(known.client_public) == key
    assert z85_encode(known.our_secret) == z85_encode(known.client_secret) == secret


def test_what_is_saved_holds_no_secret_and_asks_for_it_again() -> None:
    known = Credentials.read(username="me", password="hidden", server_key=PUBLIC, client_key=f"{PUBLIC}:{SECRET}")
    saved = json.loads(json.dumps(Spec(("x",), credentials=known).to_plain()))
    assert SECRET not in str(saved)
    assert "hidden" not in str(saved)
    with pytest.raises(UsageError, match="give --password again"):
        Spec.from_plain(saved)
    with pytest.raises(UsageError, match="give --client-key again"):
        Spec.from_plain(saved, Credentials(password="hidden"))
    again = Credentials.read(password="hidden", client_key=f"{PUBLIC}:{SECRET}")
    assert Spec.from_plain(saved, again).credentials == known


@pytest.mark.parametrize(
    ("known", "mechanism", "side", "fits"),
    [
        (Credentials(), "NULL", "bind", True),
        (Credentials(), "PLAIN", "bind", False),
        (Credentials(username=""), "PLAIN", "bind", True),
        (Credentials(), "PLAIN", "connect", True),
        (Credentials(server_key=bytes(32)), "CURVE", "bind", True),
        (Credentials(server_key=bytes(32)), "CURVE", "connect", False),
        (Credentials(our_secret=bytes(32)), "CURVE", "connect", True),
        (Credentials(server_key=bytes(32)), "GSSAPI", "bind", False),
    ],
)
def test_what_is_known_fits_a_door_or_not(known: Credentials, mechanism: str, side: str, fits: bool) -> None:
    assert known.fit(mechanism, side) is fits


def test_what_no_door_asks_for_is_said() -> None:
    assert "CURVE" in Credentials(server_key=bytes(32)).unused(["NULL"])
    assert "PLAIN" in Credentials(username="me").unused(["NULL", "CURVE"])
    assert not Credentials(server_key=bytes(32), username="me").unused(["CURVE", "PLAIN"])
    assert not Credentials().unused(["NULL"])
