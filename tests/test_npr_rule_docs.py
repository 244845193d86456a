"""Every rule of the registry has a page with its words in both languages and its examples, and no link is dead."""

from __future__ import annotations

import re
from pathlib import Path

from tools.npr_graphs import rules

PAGES = Path(__file__).resolve().parents[1] / "docs" / "npr"


def test_each_rule_has_a_page_with_its_words_and_examples() -> None:
    index = (PAGES / "README.md").read_text("utf-8")
    assert {path.stem for path in PAGES.glob("*.md")} == {"README", *(rule.number for rule in rules())}
    for rule in rules():
        page = (PAGES / f"{rule.number}.md").read_text("utf-8")
        assert f"({rule.number}.md)" in index
        said = (rule.en, rule.nb, rule.remedy_en, rule.remedy_nb)
        assert [words for words in said if words.replace("|", r"\|") not in page] == [], rule.number
        assert f"`{rule.consequence}`" in page
        broken, kept = page.partition("### Breaks it")[2].split("### Keeps it")
        assert "Changed: " in broken or "Told otherwise before: " in broken
        assert "Changed: " in kept or "As it is." in kept


def test_the_links_of_the_pages_lead_somewhere() -> None:
    for path in PAGES.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
            assert (PAGES / link).is_file(), f"{path.name}: {link}"
