# SPDX-License-Identifier: Apache-2.0
"""Runtimes with threads, collectors and code made at run time: node with workers, java, python's own regression tests."""
import xml.etree.ElementTree

from software import EXACT, LONG, SoftwareTest, installed, main

NODE_SCRIPT = """
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto'), zlib = require('zlib'), fs = require('fs');
const { execFileSync } = require('child_process');
if (isMainThread) {
  const results = new Array(WORKERS);
  let left = WORKERS;
  for (let i = 0; i < WORKERS; i++) {
    const worker = new Worker(__filename, { workerData: i });
    worker.on('message', (text) => { results[i] = text; });
    worker.on('exit', (code) => {
      results[i] += ` ${code}`;
      if (--left === 0) {
        console.log(results.join('\\n'));
        console.log(execFileSync(process.execPath, ['-p', '6 * 7'], { encoding: 'utf8' }).trim());
        console.error('on stderr');
        process.exitCode = 7;
      }
    });
  }
} else {
  const words = [];
  for (let i = 0; i < 40000; i++) words.push({ i, text: `word ${(i * 7919) % 1000} of ${workerData}` });
  const text = JSON.stringify(words);
  const packed = zlib.gzipSync(text);
  if (zlib.gunzipSync(packed).toString() !== text) throw new Error('unpacked otherwise');
  const hash = crypto.createHash('sha256').update(text).digest('hex');
  const key = crypto.pbkdf2Sync('secret', 'salt', 2000, 32, 'sha512').toString('hex');
  parentPort.postMessage(`${workerData} ${text.length} ${hash} ${key} ${JSON.parse(text).length}`);
}
"""

JAVA_SOURCE = """
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Program {
  static int work(int seed) throws Exception {
    Map<String, List<Integer>> table = new HashMap<>();
    for (int round = 0; round < ROUNDS; ++round) {
      table.clear();
      for (int i = 0; i < 20000; ++i) table.computeIfAbsent("key " + (i * 31 + seed) % 997, k -> new ArrayList<>()).add(i);
    }
    Deflater deflater = new Deflater();
    byte[] input = table.keySet().stream().sorted().collect(Collectors.joining("\\n")).getBytes();
    deflater.setInput(input);
    deflater.finish();
    int packed = deflater.deflate(new byte[1 << 20]);
    deflater.end();
    return packed + table.size();
  }

  public static void main(String[] arguments) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(4);
    List<Future<Integer>> results = new ArrayList<>();
    for (int i = 0; i < 16; ++i) {
      final int seed = i;
      results.add(threads.submit(() -> work(seed)));
    }
    for (Future<Integer> result : results) System.out.print(result.get() + " ");
    System.gc();
    threads.shutdown();
    System.out.println(threads.awaitTermination(60, TimeUnit.SECONDS));
    try {
      deep(0);
    } catch (StackOverflowError error) {
      System.out.println("overflow");
    }
    try {
      ((Object) null).hashCode();
    } catch (NullPointerException error) {
      System.out.println("null");
    }
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.err.println("hook")));
    System.exit(5);
  }

  static int deep(int depth) { return deep(depth + 1) + 1; }
}
"""

# Of python's own tests what is run in the short run; in the long run all of these files, and those after them.
PYTHON_TESTS = {
    "test_dict": ["*"], "test_list": ["*"], "test_re": ["*"], "test_ctypes": ["*"], "test_mmap": ["*"],
    "test_thread": ["*"], "test_json": ["*.test_[d-z]*"], "test_gc": ["*.GCTests.*", "*.PythonFinalizationTests.*"],
    "test_threading": ["*.ThreadTests.test_[a-f]*", "*.ThreadJoinOnShutdown.*"],
    "test_subprocess": ["*.RunFuncTestCase.*", "*.POSIXProcessTestCase.test_[e-p]*", "*.ProcessTestCase.test_c[ao]*"],
    "test_multiprocessing_fork": ["*.WithProcessesTestQueue.test_[fg]*", "*.WithProcessesTestPool.test_map*",
                                  "*SharedMemory*", "*.TestSharedCTypes.*"],
}
PYTHON_TESTS_LONG = ["test_fork1", "test_os", "test_pty", "test_signal", "test_pickle", "test_weakref", "test_queue", "test_posix", "test_faulthandler",
                     "test_io", "test_concurrent_futures", "test_asyncio", "test_zlib", "test_ssl", "test_socket"]
PYTHON = "/usr/bin/python3.11"
TEST_SUITE = "/usr/lib/python3.11/test/test_json"
ECJ = "/usr/share/java/eclipse-jdt-core.jar"


class Runtimes(SoftwareTest):
    def check_script(self, name, text, command, status, prepare=None, **how):
        """A command that reads a script, and ends with this status."""
        def action(run):
            (run.directory / name).write_text(text)
            if prepare:
                self.assertEqual(run.unobserved().command(prepare)[0], 0, prepare)
            result = self.output_of(run, command, 0)
            self.assertEqual(result[0], status, (str(run), result))
            return result

        reports = self.each_way(action, cut=True, **how)
        for report in reports.values():
            self.assertLessEqual(self.ends(report), {"exit", "exec"})  # The shell that keeps the messages apart.
        return reports

    def statuses(self, report, name):
        """How the processes of one executable ended."""
        return sorted(process["exit_status"] for process in report["processes"]
                      if process["executable"].endswith(f"/{name}"))

    @installed("node")
    def test_node_with_worker_threads(self):
        script = NODE_SCRIPT.replace("WORKERS", "8" if LONG else "4")
        reports = self.check_script("script.js", script, ["node", "script.js"], status=7)
        self.assertEqual(self.statuses(reports[EXACT], "node"), [0, 7])

    @installed("java", ECJ)
    def test_java_with_threads_and_a_collector(self):
        source = JAVA_SOURCE.replace("ROUNDS", "100" if LONG else "5")
        compiler = ["java", "-cp", ECJ, "org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-proc:none", "Program.java"]
        for collector in ("Serial", "G1"):
            with self.subTest(collector=collector):
                reports = self.check_script("Program.java", source, [
                    "java", f"-XX:+Use{collector}GC", "-Xmx64m", "-cp", ".", "Program"], status=5, prepare=compiler)
                self.assertEqual(self.statuses(reports[EXACT], "java"), [5])

    def python_results(self, run):
        """{test case: how it ended}, and the status. What single tests say is of pids and times."""
        tests = [*PYTHON_TESTS, *PYTHON_TESTS_LONG] if LONG else [*PYTHON_TESTS]
        patterns = [] if LONG else [f"*{test}{pattern}" for test in tests for pattern in PYTHON_TESTS[test]]
        junit = run.directory / "results.xml"
        status, stdout, stderr = run.command(
            [PYTHON, "-m", "test", "-j3", "--timeout", "600", "--junit-xml", junit,
             *(word for pattern in patterns for word in ("-m", pattern)), *tests])
        self.assertTrue(junit.exists(), (str(run), stdout, stderr))
        found = {}
        for case in xml.etree.ElementTree.parse(junit).iter("testcase"):
            ended = "; ".join(sorted(child.tag for child in case if not child.tag.startswith("system-"))) or "passed"
            found[f"{case.get('classname')}.{case.get('name')}"] = ended + self.failure_of(case)
        return status, found

    @staticmethod
    def failure_of(case):
        return "".join(f": {child.text}" for child in case if child.tag in ("failure", "error"))

    @installed(PYTHON, TEST_SUITE)
    def test_pythons_own_tests(self):
        counts = []

        def action(run):
            status, found = self.python_results(run)
            counts.append(len(found))
            return status, found

        self.each_way(action, regions="until the report")
        self.assertGreater(min(counts), 400)



if __name__ == "__main__":
    main()
