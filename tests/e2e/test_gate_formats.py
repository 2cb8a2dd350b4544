# SPDX-License-Identifier: Apache-2.0
"""What `seep gate` and `seep diff` say to other tools, checked by readers that are not ours: SARIF by a schema
(sarif_requirements.json), by jsonschema and by the object model of its authors; JUnit by a parser of it; and by Python's
own JSON and XML.
"""
import json
import pathlib
import re
import subprocess

import jsonschema
import junitparser
import sarif_om

import tap
from seep_test import CASES, SOURCE, SeepTest, clean_environment

PASSED, FAILED, NOT_JUDGED = 0, 1, 3
REQUIREMENTS = json.loads(pathlib.Path(__file__).with_name("sarif_requirements.json").read_text())

# The class of the object model that each key's objects are of.
MODEL = {"runs": "Run", "tool": "Tool", "driver": "ToolComponent", "rules": "ReportingDescriptor",
         "shortDescription": "MultiformatMessageString", "fullDescription": "MultiformatMessageString",
         "help": "MultiformatMessageString", "defaultConfiguration": "ReportingConfiguration", "message": "Message",
         "invocations": "Invocation", "toolExecutionNotifications": "Notification", "results": "Result",
         "locations": "Location", "physicalLocation": "PhysicalLocation", "artifactLocation": "ArtifactLocation",
         "region": "Region", "logicalLocations": "LogicalLocation", "codeFlows": "CodeFlow",
         "threadFlows": "ThreadFlow", "location": "Location"}


def modelled(value, class_name="SarifLog"):
    """An object of the standard's model, made of JSON: a key that it does not know, or one that is missing, is a
    TypeError."""
    model = getattr(sarif_om, class_name)
    names = {attribute.metadata.get("schema_property_name", attribute.name): attribute.name
             for attribute in model.__attrs_attrs__}
    arguments = {}
    for key, content in value.items():
        if key not in names:
            raise TypeError(f"{class_name} has no {key}")
        inner = "ThreadFlowLocation" if class_name == "ThreadFlow" and key == "locations" else MODEL.get(key)
        if inner and isinstance(content, list):
            content = [modelled(each, inner) for each in content]
        elif inner and isinstance(content, dict):
            content = modelled(content, inner)
        arguments[names[key]] = content
    return model(**arguments)


class FormatTest(SeepTest):
    def recorded(self, *acts, program="leaks"):
        path, result = self.record([CASES / program, *acts])
        self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def written(self, command, *arguments, code=FAILED, **how):
        """All formats of one run of a command: {format: text}."""
        files = {name: self.directory / f"out.{name}" for name in ("json", "sarif", "junit", "markdown", "annotations")}
        options = [word for name, path in files.items() for word in (f"--{name}", path)]
        result = self.seep(command, "--source-root", SOURCE, *options, *arguments, **how)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return {"text": result.stdout, **{name: path.read_text() for name, path in files.items()}}

    def check_sarif(self, text):
        log = json.loads(text)
        jsonschema.Draft7Validator(REQUIREMENTS, format_checker=jsonschema.FormatChecker()).validate(log)
        modelled(log)
        run = log["runs"][0]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        for result in run["results"]:
            self.assertEqual(rules[result["ruleIndex"]], result["ruleId"])
        return run

    def check_junit(self, text):
        path = self.directory / "checked.xml"
        path.write_text(text)
        suites = junitparser.JUnitXml.fromfile(str(path))
        cases = [case for suite in suites for case in suite]
        bad = [case for case in cases if case.result]
        self.assertEqual((suites.tests, suites.failures + suites.errors), (len(cases), len(bad)))
        return {case.name: case.result[0] if case.result else None for case in cases}

    def annotations(self, text):
        """[(kind, {property: value}, message)] as GitHub's runner takes them apart."""
        found = []
        for line in text.splitlines():
            match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
            self.assertIsNotNone(match, line)
            properties = dict(item.split("=", 1) for item in match[2].split(","))
            found.append((match[1], properties, match[3].replace("%0A", "\n").replace("%25", "%")))
        return found


class GateFormats(FormatTest):
    def test_of_leaks(self):
        written = self.written("gate", self.recorded("leak"))
        self.assertIn("seep gate FAILED", written["text"])
        self.assertEqual(json.loads(written["json"])["outcome"], "failed")
        run = self.check_sarif(written["sarif"])
        self.assertEqual([result["ruleId"] for result in run["results"]], ["leak", "leak"])
        location = run["results"][0]["locations"][0]["physicalLocation"]
        self.assertEqual(location["artifactLocation"], {"uri": "tests/e2e/cases/leaks.c", "uriBaseId": "%SRCROOT%"})
        line = (SOURCE / location["artifactLocation"]["uri"]).read_text().splitlines()[location["region"]["startLine"] - 1]
        self.assertIn("make_message", line)
        steps = run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
        self.assertEqual([step["location"]["message"]["text"] for step in steps],
                         ["main", "act", "lose_messages", "make_message"])
        self.assertTrue(run["invocations"][0]["executionSuccessful"])
        cases = self.check_junit(written["junit"])
        self.assertEqual({name for name, result in cases.items() if result}, {"leak: make_message", "leak: open_list"})
        self.assertIn("lose_messages  tests/e2e/cases/leaks.c:", cases["leak: make_message"].text)
        first, second = self.annotations(written["annotations"])
        self.assertEqual((first[0], first[1]["file"], first[1]["title"]), ("error", "tests/e2e/cases/leaks.c", "Memory leak"))
        self.assertIn("make_message", first[2])
        self.assertIn("open_list", second[2])
        self.assertIn("### seep gate FAILED: 2 leaks", written["markdown"])
        self.assertIn("allocated by make\\_message", written["markdown"])

    def test_of_a_pass(self):
        written = self.written("gate", self.recorded("keep"), code=PASSED)
        self.assertEqual(self.check_sarif(written["sarif"])["results"], [])
        self.assertEqual(self.check_junit(written["junit"]), {"recording": None, "no leak": None})
        self.assertEqual(written["annotations"], "")
        self.assertIn("PASSED", written["markdown"])

    def test_of_what_was_not_judged(self):
        path, _ = self.record([CASES / "leaks", "leak", "kill"])
        written = self.written("gate", path, code=NOT_JUDGED)
        run = self.check_sarif(written["sarif"])
        self.assertFalse(run["invocations"][0]["executionSuccessful"])
        self.assertIn("SIGKILL", run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"])
        self.assertIsInstance(self.check_junit(written["junit"])["recording"], junitparser.Error)
        self.assertIn("Not judged", written["annotations"])

    def test_of_budgets_suppressions_and_rules(self):
        policy = self.directory / "seep.toml"
        policy.write_text('strict = true\n[[site_budget]]\nstack = "open_list"\nmax_bytes = 1\n'
                          '[[allocation_budget]]\nfunction = "make_message"\nmax_blocks = 1\ncalls = 10\n'
                          '[[suppress]]\nstack = "make_message"\nmax_blocks = 1\n[[suppress]]\nstack = "no_such_thing"\n')
        written = self.written("gate", "--policy", policy, self.recorded("leak"))
        run = self.check_sarif(written["sarif"])
        self.assertEqual(sorted(result["ruleId"] for result in run["results"]),
                         ["allocation-budget", "site-budget", "suppression-limit", "unused-rule"])
        unused = next(result for result in run["results"] if result["ruleId"] == "unused-rule")
        self.assertEqual(unused["locations"][0]["physicalLocation"]["region"]["startLine"], 12)
        self.assertEqual(len([result for result in self.check_junit(written["junit"]).values() if result]), 4)
        self.assertEqual(len(self.annotations(written["annotations"])), 4)
        self.assertIn("| make\\_message \\(a call of 10\\) | 10,000 |", written["markdown"])

    def test_known_and_suppressed_leaks_are_in_no_results(self):
        path = self.recorded("leak")
        baseline = self.directory / "leaks.toml"
        self.assertEqual(self.seep("gate", "--baseline", baseline, "--update", path).returncode, PASSED)
        written = self.written("gate", "--baseline", baseline, path, code=PASSED)
        self.assertEqual(self.check_sarif(written["sarif"])["results"], [])
        written = self.written("gate", "--baseline", baseline, self.recorded("leak", "leak"))
        self.assertEqual({result["ruleId"] for result in self.check_sarif(written["sarif"])["results"]}, {"grown-leak"})

    def test_fingerprints_are_those_of_the_report(self):
        path = self.recorded("leak")
        reported = {site["fingerprint"] for site in self.report(path)["sites"] if site["verdict"] == "definite"}
        run = self.check_sarif(self.written("gate", path)["sarif"])
        self.assertEqual({result["partialFingerprints"]["seepSite/v1"] for result in run["results"]}, reported)

    def test_hostile_names(self):
        """Names are the program's: none of them is markup, a command or an escape to any format."""
        program = self.directory / "a & <b> \"c\"::d%0A,e"
        source, compiled = self.directory / "s]]> |.c", self.directory / "o"
        source.write_text("#include <stdlib.h>\nvoid* volatile p;\n"
                          "void __attribute__((noinline)) lose(void) { p = calloc(1, 77); p = 0; }\n"
                          "int main(void) { lose(); return 0; }\n")
        name = "l<o>&\"'s%|`e::`[x](y)"
        subprocess.run(["gcc", "-O1", "-g0", "-c", "-o", compiled, source], check=True)
        subprocess.run(["objcopy", "--redefine-sym", f"lose={name}", compiled], check=True)
        subprocess.run(["gcc", "-o", program, compiled], check=True)
        path, _ = self.record([program, "x\n::error::y", "\x1b[31m\xff"])
        written = self.written("gate", path)
        run = self.check_sarif(written["sarif"])
        self.assertEqual(run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"][-1]["location"]["message"]["text"],
                         name)
        self.assertEqual(len([result for result in self.check_junit(written["junit"]).values() if result]), 1)
        (annotation,) = self.annotations(written["annotations"])
        self.assertIn(name, annotation[2])
        self.assertIn("l&lt;o&gt;&amp;\"'s%\\|\\`e::\\`\\[x\\]\\(y\\)", written["markdown"])
        for text in written.values():
            self.assertNotIn("\x1b", text)

    def test_sources_are_found_wherever_they_were_compiled(self):
        """A path map of the compiler, a build directory beside the sources, a source outside of them."""
        (self.directory / "src").mkdir()
        (self.directory / "build").mkdir()
        (self.directory / "src/lib loss.c").write_text(
            "#include <stdlib.h>\nvoid* volatile p;\nvoid lose(void) { p = calloc(1, 77); p = 0; }\n"
            "int main(void) { lose(); return 0; }\n")
        for number, options in enumerate(([], [f"-ffile-prefix-map={self.directory}=."])):
            subprocess.run(["gcc", "-O0", "-g", *options, "-o", "program", "../src/lib loss.c"],
                           cwd=self.directory / "build", check=True)
            path, _ = self.record([self.directory / "build/program"])
            sarif = self.directory / f"{number}.sarif"
            self.seep("gate", "--sarif", sarif, path, cwd=self.directory)
            run = self.check_sarif(sarif.read_text())
            location = run["results"][0]["locations"][0]["physicalLocation"]
            self.assertEqual(location["artifactLocation"]["uri"].removeprefix("build/../").removeprefix("../"),
                             "src/lib%20loss.c", options)
            self.assertEqual(location["region"]["startLine"], 3)
        self.seep("gate", "--sarif", sarif, "--source-root", self.directory / "build", path)
        self.check_sarif(sarif.read_text())

    def test_github(self):
        summary = self.directory / "summary.md"
        summary.write_text("# Before\n")
        result = self.seep("run", "--gate", "--github", "--", CASES / "leaks", "leak",
                           env=clean_environment(GITHUB_STEP_SUMMARY=summary))
        self.assertEqual(result.returncode, 23)
        self.assertEqual(len(self.annotations("\n".join(line for line in result.stderr.splitlines()
                                                        if line.startswith("::")))), 2)
        self.assertTrue(summary.read_text().startswith("# Before\n### seep gate FAILED"))
        self.assertEqual(self.seep("gate", "--github").returncode, FAILED)

    def test_any_format_may_be_shown(self):
        path = self.recorded("leak")
        self.assertEqual(self.seep("gate", "--format", "sarif", path).returncode, FAILED)
        self.check_sarif(self.seep("gate", "--format", "sarif", path).stdout)
        self.check_junit(self.seep("gate", "--format", "junit", path).stdout)
        result = self.seep("gate", "--junit", "-", "--format", "json", path)
        self.assertIn("<testsuites", result.stdout)
        self.assertEqual(self.seep("report", "--format", "sarif", path).returncode, 2)
        log = self.directory / "log"
        with open(log, "wb") as file:
            file.write(b"before\n")
            file.flush()
            subprocess.run([CASES.parents[2] / "tools/seep", "gate", "--annotations", "/dev/stdout", path], stdout=file,
                           check=False, cwd=self.directory)
        self.assertTrue(log.read_text().startswith("before\n::error"), "what was there is not replaced")


class Differences(FormatTest):
    def test_sites_are_new_grown_shrunk_and_gone(self):
        once, twice, others = self.recorded("leak", "keep"), self.recorded("leak", "leak"), self.recorded("maybe")
        written = self.written("diff", once, twice, code=0)
        found = json.loads(written["json"])
        self.assertEqual((found["quantity"], found["grown"], found["new"], found["gone"]), ("leaked", 2, 0, 0))
        self.assertEqual((found["before_bytes"], found["after_bytes"], found["change_bytes"]), (12_464, 24_928, 12_464))
        self.assertEqual({result["ruleId"] for result in self.check_sarif(written["sarif"])["results"]}, {"grown-site"})
        self.assertEqual(len([result for result in self.check_junit(written["junit"]).values() if result]), 2)
        self.assertEqual({kind for kind, _, _ in self.annotations(written["annotations"])}, {"warning"})
        self.assertIn("2 grown", written["markdown"])
        gone = json.loads(self.seep("diff", "--format", "json", twice, others).stdout)
        self.assertEqual((gone["gone"], gone["after_bytes"]), (2, 0))
        live = json.loads(self.seep("diff", "--of", "live", "--format", "json", once, others).stdout)
        self.assertEqual({site["direction"]: site["change_bytes"] for site in live["sites"]
                          if site["frames"][0]["function"] in ("make_view", "make_table")}, {"new": 700, "gone": -5000})
        same = self.seep("diff", once, self.recorded("leak", "keep"))
        self.assertEqual(same.returncode, 0)
        self.assertIn("no difference", same.stdout)

    def test_exit_codes(self):
        once, twice = self.recorded("leak"), self.recorded("leak", "leak")
        self.assertEqual(self.seep("diff", "--exit-code", once, twice).returncode, 1)
        self.assertEqual(self.seep("diff", "--exit-code", twice, once).returncode, 0)
        for arguments in ([once], [], [once, twice, once], ["--of", "lost", once, twice], ["--confidence", "2", once, twice]):
            result = self.seep("diff", *arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assert_one_line(result.stderr)
        result = self.seep("diff", once, "no/such/recording")
        self.assertEqual(result.returncode, NOT_JUDGED)
        stream = next(twice.glob("*.seep"))
        stream.write_bytes(stream.read_bytes()[:-20])
        result = self.seep("diff", once, twice)
        self.assertEqual(result.returncode, NOT_JUDGED)
        self.assertIn("is cut here", result.stderr)

    def test_sampled(self):
        paths = []
        for seed, acts in ((1, []), (2, []), (3, ["more"])):
            path, result = self.record([CASES / "leaky_sites", *acts], ["--sample", "256k"],
                                       env=clean_environment(SEEP_OPTIONS=f"scan=exit:seed={seed}"))
            self.assertEqual(result.returncode, 0)
            paths.append(path)
        same = json.loads(self.seep("diff", "--format", "json", *paths[:2]).stdout)
        self.assertEqual((same["new"], same["grown"], same["shrunk"], same["gone"], same["same"]), (0, 0, 0, 0, 16))
        low, high = same["change_bytes_interval"]
        self.assertTrue(low <= 0 <= high, same["change_bytes_interval"])
        more = json.loads(self.seep("diff", "--format", "json", paths[0], paths[2]).stdout)
        (grown,) = [site for site in more["sites"] if site["direction"] == "grown"]
        self.assertIn("lose<3>", grown["frames"][0]["function"])
        low, high = grown["change_bytes_interval"]
        self.assertTrue(0 < low <= 7 * (4 << 20) <= high, grown["change_bytes_interval"])


if __name__ == "__main__":
    tap.main()
