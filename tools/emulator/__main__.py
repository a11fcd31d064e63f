"""Start the emulator: `python tools/emulator`, or `python -m emulator` from tools/. It ends on SIGTERM or Ctrl-C."""

import os
import sys

# Run as a folder, Python puts the folder itself on the path: its modules would be found under the wrong names.
_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [os.path.dirname(_here)] + [p for p in sys.path if os.path.abspath(p or ".") != _here]

from emulator import settings  # noqa: E402

settings.prepare_environment()

from emulator import server  # noqa: E402

if __name__ == "__main__":
    server.main()
