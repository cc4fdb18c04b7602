"""Alerts and dashboard ask only for metrics and labels that exist, each alert
fires when it should and has a runbook, and chart and kustomize carry the same."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import promql_parser
import yaml

from support import (
    DEPLOY, PROMTOOL, ROOT, chart, documents, helm, kustomize, needs_helm, needs_kustomize, needs_promtool,
    of_kind,
)

RULES = DEPLOY / "monitoring" / "prometheusrule.yaml"
DASHBOARD = DEPLOY / "monitoring" / "dashboard.json"
RUNBOOKS = ROOT / "docs" / "RUNBOOKS.md"
ALERTS = ROOT / "tests" / "fixtures" / "alerts.yaml"

# What Prometheus itself puts on everything that it reads from a pod.
TARGET = {"namespace", "job", "instance", "pod", "service", "container", "endpoint"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


def metrics():
    """Every series that is served, with its labels."""
    served = {}
    for line in (ROOT / "tests/fixtures/metrics.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, kind, *labels = line.split()
        labels = set(labels[0].split(",")) if labels else set()
        for suffix in SUFFIXES.get(kind, ("",)):
            served[name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return served


def complaints(expression, served):
    """Series and labels that an expression asks for and that nobody serves."""
    found = []

    def series(node):
        if isinstance(node, promql_parser.VectorSelector):
            if node.name not in served:
                found.append(f"no metric {node.name}")
            else:
                labels.update(served[node.name])
                asked = {matcher.name for matcher in node.matchers.matchers}
                found.extend(f"{node.name} has no label {name}" for name in sorted(asked - served[node.name] - TARGET))
        return True

    def grouping(node):
        if isinstance(node, (promql_parser.AggregateExpr, promql_parser.BinaryExpr)):
            modifier = node.modifier
            if isinstance(node, promql_parser.BinaryExpr):
                modifier = modifier and modifier.matching
            if modifier:
                found.extend(f"nothing has a label {name}" for name in sorted(set(modifier.labels) - labels))
        return True

    labels = set(TARGET)
    tree = promql_parser.parse(expression)
    promql_parser.walk(tree, pre_visit=series)
    promql_parser.walk(tree, pre_visit=grouping)
    return found


def rules():
    return [rule for group in documents(RULES.read_text())[0]["spec"]["groups"] for rule in group["rules"]]


def anchors(text):
    """The headings of a document, as links name them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def of_dashboard():
    """The dashboard and its expressions, with Grafana's own word replaced."""
    dashboard = json.loads(DASHBOARD.read_text())
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return dashboard, [target["expr"].replace("$__rate_interval", "5m") for target in targets]


class Expressions(unittest.TestCase):
    def test_a_wrong_expression_is_found(self):
        wrong = 'sum by (tenant) (rate(entra_sync_passes_total{state="failed"}[5m])) > entra_sync_pass_duration_seconds'
        self.assertEqual(complaints(wrong, metrics()), [
            "entra_sync_passes_total has no label state",
            "no metric entra_sync_pass_duration_seconds",
            "nothing has a label tenant",
        ])

    def test_alerts_ask_for_what_is_served(self):
        for rule in rules():
            with self.subTest(rule["alert"]):
                self.assertEqual(complaints(rule["expr"], metrics()), [])

    def test_the_dashboard_asks_for_what_is_served(self):
        dashboard, expressions = of_dashboard()
        self.assertGreater(len(expressions), 30)
        for expression in expressions:
            with self.subTest(expression):
                self.assertEqual(complaints(expression, metrics()), [])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
                self.assertIn(label, metrics()[name] | TARGET)

    def test_every_metric_is_looked_at(self):
        _, expressions = of_dashboard()
        text = "\n".join(expressions + [rule["expr"] for rule in rules()])
        unseen = {re.sub("_(bucket|sum|count)$", "", name) for name in metrics() if name not in text}
        seen = {re.sub("_(bucket|sum|count)$", "", name) for name in metrics() if name in text}
        # The age of the last success says more than when a pass last ended.
        self.assertEqual(unseen - seen, {"entra_sync_last_pass_timestamp_seconds"})


class Dashboard(unittest.TestCase):
    def test_it_belongs_to_no_grafana(self):
        dashboard, _ = of_dashboard()
        self.assertNotIn("uid", dashboard)
        self.assertIsNone(dashboard["id"])
        uids = set(re.findall(r'"uid": "([^"]*)"', DASHBOARD.read_text()))
        self.assertEqual(uids, {"${datasource}"})

    def test_panels_are_told_apart_and_lie_side_by_side(self):
        dashboard, _ = of_dashboard()
        panels = dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(at["x"] + at["w"], 24)
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells

    def test_variables_are_there(self):
        dashboard, expressions = of_dashboard()
        there = {variable["name"] for variable in dashboard["templating"]["list"]}
        self.assertEqual(there, {"datasource"} | set(re.findall(r"\$(\w+)", " ".join(expressions))))


class Alerts(unittest.TestCase):
    def test_each_says_what_it_means_and_has_a_runbook(self):
        headings = anchors(RUNBOOKS.read_text())
        for rule in rules():
            with self.subTest(rule["alert"]):
                notes = rule["annotations"]
                self.assertEqual(set(notes), {"summary", "description", "runbook_url"})
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                document, anchor = notes["runbook_url"].split("#")
                self.assertEqual(ROOT / document, RUNBOOKS)
                self.assertEqual(anchor, rule["alert"].lower())
                self.assertIn(anchor, headings)
                used = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))
                self.assertLessEqual(used, set(re.findall(r"\w+", rule["expr"])))

    def test_every_runbook_has_its_alert(self):
        named = {anchor for anchor in anchors(RUNBOOKS.read_text()) if anchor.startswith("entrasync")}
        self.assertEqual(named, {rule["alert"].lower() for rule in rules()})

    def test_each_is_seen_to_fire_and_to_keep_quiet(self):
        fires, quiet = set(), set()
        for case in yaml.safe_load(ALERTS.read_text())["tests"]:
            for check in case["alert_rule_test"]:
                (fires if check.get("exp_alerts") else quiet).add(check["alertname"])
        names = {rule["alert"] for rule in rules()}
        self.assertEqual((fires, quiet), (names, names))

    @needs_promtool
    def test_prometheus_reads_them_and_they_fire_when_they_should(self):
        spec = documents(RULES.read_text())[0]["spec"]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            self.promtool("check", spec, folder)
            # Labels tell which alert fires; the texts are not repeated in the cases.
            for group in spec["groups"]:
                for rule in group["rules"]:
                    del rule["annotations"]
            shutil.copy(ALERTS, folder)
            self.promtool("test", spec, folder)

    def promtool(self, command, spec, folder):
        file = folder / "rules.yaml"
        file.write_text(yaml.safe_dump(spec))
        subject = file if command == "check" else folder / ALERTS.name
        done = subprocess.run([PROMTOOL, command, "rules", str(subject)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


@needs_helm
@needs_kustomize
class KustomizeAndHelm(unittest.TestCase):
    def test_they_carry_the_same(self):
        ours, theirs = kustomize("overlays/monitored"), chart("watched")
        (rule,), (other,) = of_kind(ours, "PrometheusRule"), of_kind(theirs, "PrometheusRule")
        elsewhere = json.dumps(rule["spec"]).replace("docs/RUNBOOKS.md#", "https://git.example.org/docs/RUNBOOKS.md#")
        self.assertEqual(json.loads(elsewhere), other["spec"])
        self.assertNotEqual(rule["spec"], other["spec"])
        texts = [one["data"]["dashboard.json"] for objects in (ours, theirs)
                 for one in of_kind(objects, "ConfigMap") if "dashboard.json" in one["data"]]
        self.assertEqual([json.loads(text) for text in texts], [of_dashboard()[0]] * 2)

    def test_the_chart_leaves_out_alerts_and_moves_a_limit(self):
        unwanted = [rule["alert"] for rule in rules() if "Versions" in rule["alert"] or "Held" in rule["alert"]]
        values = {"prometheusRule": {"enabled": True, "without": unwanted, "noSuccessSeconds": 100000}}
        done = helm("template", "--kube-version", "1.31.0", values=values)
        (rule,) = of_kind(documents(done.stdout), "PrometheusRule")
        there = {one["alert"]: one["expr"] for group in rule["spec"]["groups"] for one in group["rules"]}
        self.assertEqual(set(there), {one["alert"] for one in rules()} - set(unwanted))
        self.assertTrue(there["EntraSyncNoSuccess"].strip().endswith(" > 100000"), there["EntraSyncNoSuccess"])

    def test_the_example_names_its_own_runbooks(self):
        (rule,) = of_kind(kustomize("overlays/example"), "PrometheusRule")
        links = [one["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for one in group["rules"]]
        self.assertEqual(len(links), len(rules()))
        for link in links:
            self.assertRegex(link, r"^https://git\.example\.org/.*/docs/RUNBOOKS\.md#entrasync[a-z]+$")


if __name__ == "__main__":
    unittest.main()
