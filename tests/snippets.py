"""The Python in the documents: what a page shows is code that can be checked, and the whole programs among it can be run."""

from __future__ import annotations

import re
import symtable
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ROOT", "Snippet", "page", "pages", "snippets"]

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    """A block of Python in a page."""

    page: str
    """The page's path from the top of the project."""
    line: int
    """Where it begins."""
    code: str

    @property
    def is_whole(self) -> bool:
        """Whether it is a program as it stands, and not a piece of one: it imports what it uses, and makes the `app` it has."""
        imports = self.code.startswith(("from ", "import "))
        return imports and ("app." not in self.code or "app = App(" in self.code)

    def names(self) -> tuple[set[str], set[str]]:
        """The names that it makes, and those that it uses: of its own, of builtins, of an earlier snippet, or of nobody.

        Raises:
            SyntaxError: it is no module: an `await` outside a function, say.
        """
        compile("\n" * (self.line - 1) + self.code, str(ROOT / self.page), "exec")
        module = symtable.symtable(self.code, self.page, "exec")
        made = {one.get_name() for one in module.get_symbols() if one.is_assigned() or one.is_imported()}
        used = set[str]()
        tables = [module]
        while tables:
            table = tables.pop()
            tables += table.get_children()
            used |= {
                one.get_name()
                for one in table.get_symbols()
                if one.is_referenced() and (table is module or one.is_global())
            }
        return made, used

    def run(self) -> dict[str, Any]:
        """Runs it, as a module that is imported; gives its names."""
        names: dict[str, Any] = {"__name__": "snippet"}
        # As many lines in front as in the page, so that a traceback leads there.
        code = compile("\n" * (self.line - 1) + self.code, str(ROOT / self.page), "exec")
        exec(code, names)
        return names


def page(path: str) -> list[Snippet]:
    """The snippets of one page."""
    text = (ROOT / path).read_text()
    return [
        Snippet(path, text.count("\n", 0, found.start("code")) + 1, textwrap.dedent(found["code"]))
        for found in _BLOCK.finditer(text)
    ]


def pages() -> list[str]:
    """Every page."""
    return sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))


def snippets() -> list[Snippet]:
    """All there are."""
    return [one for path in pages() for one in page(path)]
