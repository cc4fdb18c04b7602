"""Every link from one document to another leads to a file and a heading."""

import re
import unittest

from support import ROOT
from test_monitoring import anchors

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "systemd" / "README.md"]


def broken(document, text):
    """Links of a document that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists():
            yield link
        elif anchor and anchor not in anchors(text if target == document else target.read_text()):
            yield link


class Links(unittest.TestCase):
    def test_they_lead_somewhere(self):
        for document in DOCUMENTS:
            with self.subTest(document.name):
                self.assertEqual(list(broken(document, document.read_text())), [])

    def test_a_broken_one_is_found(self):
        text = "# Here\n[a](#here) [b](#there) [c](gone.md) [d](docs/RUNBOOKS.md#no) [e](https://example.org/x)"
        self.assertEqual(list(broken(ROOT / "README.md", text)), ["#there", "gone.md", "docs/RUNBOOKS.md#no"])


if __name__ == "__main__":
    unittest.main()
