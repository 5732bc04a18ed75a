"""The reference variant: the published behaviour of the reference manager, as substitutions of rows (PROTOCOL).

It serves two ends only: scenarios recorded from the reference are followed event for event (``hacore sim run --profile
reference``), and where the reference is weaker than hacore's own protocol (PROTOCOL section 11), the difference stands
here as data. No daemon knows that there is such a variant; nothing here runs on a node.

The reference decides in two halves: first the state changes, then the work of the state that was reached. Where hacore
does both in one row, the variant has a phase between them.
"""
