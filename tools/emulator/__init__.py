"""The local AWS of the demo and the end-to-end tests: MiniStack, made to behave more like AWS.

Start it with `python tools/emulator` (see README.md). Each module here changes one behaviour and says which;
nothing here is part of the product, and the product must not know that it runs against it.
"""
