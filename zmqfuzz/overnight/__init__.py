"""Campaigns: runs that go on for hours, in slices, on several processes, and survive their own end."""
