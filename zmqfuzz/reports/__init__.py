"""What stays of a run: its events and outcome on disk, the reports that are made from them, and the gate.

Contract: nothing here plays an attack. A report is made from a stored run alone, so it can be made again anywhere.
What a target sent or printed is hostile text in every format.
"""
