"""Templates, parsed once each: in pure Python that takes longer than everything else that CreateStack does."""

import functools
import pickle


def install() -> None:
    from ministack.services.cloudformation import changesets, engine, handlers

    plain = engine._parse_template

    @functools.lru_cache(maxsize=64)
    def parsed(text: str) -> bytes:
        return pickle.dumps(plain(text))

    def parse(template_body: str) -> dict:
        return pickle.loads(parsed(template_body))  # a copy of its own for everybody: MiniStack writes into it

    for module in (engine, handlers, changesets):
        module._parse_template = parse
