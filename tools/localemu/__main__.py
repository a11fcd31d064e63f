"""Starts LocalEmu with our corrections: `python tools/localemu`. README.md beside this file tells of each."""

from fence import settings

# LocalEmu reads its environment while it is imported, which the next lines do.
settings.prepare_environment()

from fence import decisions, enforce, gaps, rules, stand_in  # noqa: E402
from localemu.runtime.main import main  # noqa: E402

if __name__ == "__main__":
    for correction in (rules, enforce, stand_in, gaps, decisions):
        correction.install()
    main()
