#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mutants.py N SEED JOBS [LIST]: do the suites notice a wrong token in lib/?

N times one token is changed, drawn from all files evenly (only of those in LIST,
if given), and a suite that links the file must fail or hang; what compiles to the
same code does not count.  LIST may be what a run has printed: then its mutants
count, and those that nobody noticed, and nothing excuses, are judged once more.
What fails must fail twice and pass with the library as it is: a busy machine kills
nothing.  As root, in a pid namespace: a mutant may kill anything.  $RUN precedes
commands.
"""
import glob, os, queue, random, re, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor

BAR, PATIENCE = 90, 60  # %, s a suite
AT_MOST, LISTED = 90, 600  # s of suites a mutant; one of LIST
LAST = "batch cluster door fault fuzz schedules storm".split()  # they take long
DIR, PLAIN, SUITES = "build/mutants", "build/mutants/plain", "build/suites/"
RUN = os.environ.get("RUN", "").split()
ALONE = "unshare --pid --fork --kill-child --mount-proc sh -c".split()
SWAPS = dict(zip("< > <= >= == != && || + - ++ -- += -= true false".split(),
                 "<= >= < > != == || && - + -- ++ -= += false true".split()))
TOKEN = re.compile(r"->|<<=?|>>=?|[-<>=!+*/&|]=|&&|\|\||\+\+|--|[-+<>]|\w[\w.]*")
SKIP = re.compile(r"\s*#|.*\b(static_)?assert\(|\s*A_FENCE|^\S.*[^{]$")
COMMENT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\])+\'', re.S)
ROOM = re.compile(r"\t*(?!return |else )(?:\w+ )+[^=(]*\[$")  # one more hurts nobody
CONDITION = re.compile(r"\t+(?:\} else )?(?:if|while) (\(.*\))(?: \{)?$")
STATEMENT = re.compile(r"\t+(?!return |goto |struct |const |static )[\w*][^ ]*"
                       r"(\(| [-+|&^]?= )[^{}]*;$")

def make(tree, *targets):
    command = [*RUN, "make", "-sC", tree, "B=build/suites", "CFLAGS=-O1", *targets]
    return subprocess.run(command, capture_output=True).returncode == 0

def run(tree, suite, case=None, patience=1):
    """The seconds from its first result to its end, and None; or 0, and the case
    that failed, None when it hung or died."""
    env = {**os.environ, "CK_TAP_LOG_FILE_NAME": "-", "CK_VERBOSITY": "silent",
           "CK_TIMEOUT_MULTIPLIER": str(patience)}
    start, failed = 0, None
    child = subprocess.Popen(
        [*RUN, "timeout", "-sKILL", str(PATIENCE * patience), *ALONE,
         SUITES + "check_" + suite + "; exit $?"],
        cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        errors="replace", start_new_session=True,
        env={**env, "CK_RUN_CASE": case} if case else env)
    for line in child.stdout:
        start = start or time.time()
        if line.startswith("not ok") and not failed:
            failed = line.split(":")[1]
            os.killpg(child.pid, 9)
    return (time.time() - start if child.wait() == 0 else 0), failed

def notices(tree, suite):
    """0 when it fails again, with more time, and not with PLAIN; else the seconds
    it took."""
    for _ in range(2):
        took, case = run(tree, suite)
        if took:
            return took
        if run(PLAIN, suite, case, 3)[0] and not run(tree, suite, case, 3)[0]:
            return 0
    return 1

def names(*args):
    out = subprocess.run(["nm", *args], capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if line}

def suites_of(path):
    """Those that link it, or what includes it: its own first."""
    users = [o for o in glob.glob(f"{PLAIN}/{SUITES}lib/*.o")
             if path in open(o[:-1] + "d").read().split()]
    symbols = names("-g", "--defined-only", *users)
    module = re.split(r"[/_.]", path)[1]
    return sorted((s for s in linked if linked[s] & symbols),
                  key=lambda s: (s in LAST, module not in s, len(linked[s])))

def mutants(path):
    """Of a file: the number of a line, what it becomes, that to be read."""
    text = open(path).read()
    bare = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text).split("\n")
    for number, (line, code) in enumerate(zip(text.split("\n"), bare)):
        if SKIP.match(code):
            continue
        for at in TOKEN.finditer(code):
            old, (i, j) = at.group(), at.span()
            new = str(int(old) + 1) if old.isdigit() else SWAPS.get(old)
            if new and not (old.isdigit() and ROOM.match(code[:i])):
                read = "{%s -> %s}" % (old, new)
                yield number, line[:i] + new + line[j:], line[:i] + read + line[j:]
        if at := CONDITION.match(code):
            i, j = at.span(1)
            new = "(!" + line[i:j] + ")"
            yield number, line[:i] + new + line[j:], line[:i] + "{not} " + line[i:]
        if STATEMENT.match(code) and code.count("(") == code.count(")"):
            yield number, ";", "{delete} " + line.strip()

def objects(tree):
    return [open(o, "rb").read()
            for o in sorted(glob.glob(f"{tree}/{SUITES}lib/*.o"))]

def judge(tree, path, number, line):
    """None: no program, or the same; else the suite that noticed, or "-"."""
    lines, left = open(f"{PLAIN}/{path}").read().split("\n"), at_most
    lines[number] = line
    open(f"{tree}/{path}", "w").write("\n".join(lines))
    if not make(tree, SUITES + "libeddy.a") or objects(tree) == same:
        return None
    for suite in suites_of(path):
        if left > 0 and make(tree, SUITES + "check_" + suite):
            took = notices(tree, suite)
            left -= took
            if not took:
                return suite
    return "-"

def next_of(path):
    """The next of that file that counts: what noticed it, how it reads; or None."""
    tree, verdict = trees.get(), None
    while piles[path] and verdict is None:
        number, line, shown = piles[path].pop()
        verdict = judge(tree, path, number, line)
        subprocess.run(["cp", "-a", PLAIN + "/.", tree], check=True)
    trees.put(tree)
    if verdict is None:
        return None
    print(f"{verdict}\t{path}:{number + 1}\t{shown.strip()}\n", end="", flush=True)
    return verdict, path + ": " + shown.strip()

def listed(path):
    """Also as it was printed, by who survives."""
    return {re.sub("^mutants: survives.*?: ", "", line.strip())
            for line in open(path) if line[0] != "#"}

def printed(path):
    """The verdicts that next_of has printed there."""
    rows = [line.rstrip("\n").split("\t") for line in open(path)]
    return {re.sub(r":\d+$", ": ", row[1]) + row[2].strip(): row[0]
            for row in rows if len(row) == 3}

wanted, chance, jobs = int(sys.argv[1]), random.Random(sys.argv[2]), int(sys.argv[3])
only, at_most, made = None, AT_MOST, []
excused = listed("test/survivors.txt")
if len(sys.argv) > 4:
    wanted, at_most = sys.maxsize, LISTED
    verdicts = printed(sys.argv[4])
    only = {m for m in verdicts if verdicts[m] == "-" and m not in excused}
    made = [(verdicts[m], m) for m in verdicts if m not in only]
    only = only or (set() if verdicts else listed(sys.argv[4]))
subprocess.run(f"rm -rf {DIR}; mkdir -p {PLAIN}; "
               f"cp -r Makefile lib include test bench {PLAIN}", shell=True, check=True)
tests = [path[11:-2] for path in glob.glob("test/check_*.c")]
if not make(PLAIN, "-j2", *(SUITES + "check_" + s for s in tests)):
    sys.exit("mutants: it does not build")
linked = {s: names("--defined-only", f"{PLAIN}/{SUITES}check_{s}") for s in tests}
same, trees = objects(PLAIN), queue.Queue()
for job in range(jobs):
    subprocess.run(["cp", "-a", PLAIN, f"{DIR}/{job}"], check=True)
    trees.put(f"{DIR}/{job}")
piles = {path: [m for m in mutants(path)
                if only is None or path + ": " + m[2].strip() in only]
         for path in sorted(glob.glob("lib/*.[ch]"))}
order = list(piles)
for some in (order, *piles.values()):
    chance.shuffle(some)
while len(made) < wanted and any(piles.values()):
    paths = [path for path in order if piles[path]][:wanted - len(made)]
    with ThreadPoolExecutor(jobs) as pool:
        made += filter(None, pool.map(next_of, paths))
alive = [m for v, m in made if v == "-"]
for shown in sorted((only or set()) - {m for v, m in made}):
    print("mutants: not there any more: " + shown)
for shown in alive:
    print("mutants: survives%s: %s" % (", excused" * (shown in excused), shown))
killed, known = len(made) - len(alive), sum(m in excused for m in alive)
percent = 100 * killed // max(len(made), 1)
print(f"mutants: made={len(made)} {killed=} {percent=} survived={len(alive)} "
      f"excused={known}")
sys.exit(percent < BAR or known < len(alive))
