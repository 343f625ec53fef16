"""The words of an HTML page, whose tags must all be closed."""

from html.parser import HTMLParser
from pathlib import Path


class Text(HTMLParser):
    """What a page shows, and whether its tags are closed."""

    void = frozenset({"meta", "link", "input", "br", "path", "img", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.outside: list[str] = []  # what a browser would fetch

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.open.append(tag)
        wanted = [(k, v) for k, v in attrs if k in ("src", "href", "srcset") and v and not v.startswith("data:image/")]
        self.outside += [v for k, v in wanted if "//" in v or k != "href"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def shown(page: Path) -> Text:
    text = Text()
    text.feed(page.read_text(encoding="utf-8"))
    assert not text.open
    return text
