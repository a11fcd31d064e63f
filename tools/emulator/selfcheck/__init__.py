"""Every behaviour that the launcher promises, tried over the wire: `python -m emulator.selfcheck` from tools/."""
