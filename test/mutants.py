#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mutants.py N SEED: do the suites notice a wrong token in lib/?

N times one token is changed, drawn from all files evenly, and a suite that links
the file must fail or hang; what compiles to the same code does not count.  As
root, in a pid namespace: a mutant may kill anything.  $RUN precedes commands.
"""
import glob, os, random, re, shutil, subprocess, sys, time

BAR, PATIENCE, AT_MOST = 90, 60, 90  # %, s a suite, s of suites a mutant
LAST = "batch cluster door fault fuzz schedules storm".split()  # they take long
DIR, BUILD = "build/mutants", "build/mutants/build/suites"
RUN = os.environ.get("RUN", "").split()
ALONE = "unshare --pid --fork --kill-child --mount-proc sh -c".split()
SWAPS = dict(zip("< > <= >= == != && || + - ++ -- += -= true false".split(),
                 "<= >= < > != == || && - + -- ++ -= += false true".split()))
TOKEN = re.compile(r"->|<<=?|>>=?|[-<>=!+*/&|]=|&&|\|\||\+\+|--|[-+<>]|\w[\w.]*")
SKIP = re.compile(r"\s*#|.*\b(static_)?assert\(|\s*A_FENCE|^\S.*[^{]$")
COMMENT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\])+\'', re.S)
CONDITION = re.compile(r"\t+(?:\} else )?(?:if|while) (\(.*\))(?: \{)?$")
STATEMENT = re.compile(r"\t+(?!return |goto |struct |const |static )[\w*][^ ]*"
                       r"(\(| [-+|&^]?= )[^{}]*;$")

def make(*targets):
    command = [*RUN, "make", "-sC", DIR, "B=build/suites", "CFLAGS=-O1", *targets]
    return subprocess.run(command, capture_output=True).returncode == 0

def passes(suite):
    """The seconds from its first result to its end; 0: a test fails, or it hangs."""
    start, child = 0, subprocess.Popen(
        [*RUN, "timeout", "-sKILL", str(PATIENCE), *ALONE, suite + "; exit $?"],
        cwd=DIR, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        errors="replace", start_new_session=True,
        env={**os.environ, "CK_TAP_LOG_FILE_NAME": "-", "CK_VERBOSITY": "silent"})
    for line in child.stdout:
        start = start or time.time()
        if line.startswith("not ok"):
            os.killpg(child.pid, 9)
    return time.time() - start if child.wait() == 0 else 0

def names(*args):
    out = subprocess.run(["nm", *args], capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines() if line}

def suites_of(path):
    """Those that link it, or what includes it: its own first."""
    users = [o for o in glob.glob(BUILD + "/lib/*.o")
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
            if new:
                read = "{%s -> %s}" % (old, new)
                yield number, line[:i] + new + line[j:], line[:i] + read + line[j:]
        if at := CONDITION.match(code):
            i, j = at.span(1)
            new = "(!" + line[i:j] + ")"
            yield number, line[:i] + new + line[j:], line[:i] + "{not} " + line[i:]
        if STATEMENT.match(code) and code.count("(") == code.count(")"):
            yield number, ";", "{delete} " + line.strip()

def objects():
    return [open(o, "rb").read() for o in sorted(glob.glob(BUILD + "/lib/*.o"))]

def judge(path, number, line):
    """None: no program, or the same; else the suite that noticed, or "-"."""
    lines, left = open(path).read().split("\n"), AT_MOST
    lines[number] = line
    open(DIR + "/" + path, "w").write("\n".join(lines))
    if not make("build/suites/libeddy.a") or objects() == same:
        return None
    for suite in suites_of(path):
        target = "build/suites/check_" + suite
        took = make(target) and passes(target) if left > 0 else 1
        left -= took
        if not took:
            return suite
    return "-"

wanted, chance = int(sys.argv[1]), random.Random(sys.argv[2])
subprocess.run(f"mkdir -p {DIR}; cp -r Makefile lib include test bench {DIR}",
               shell=True, check=True)  # all is to be made anew
tests = [path[11:-2] for path in glob.glob("test/check_*.c")]
if not make("-j2", *("build/suites/check_" + s for s in tests)):
    sys.exit("mutants: it does not build")
linked = {s: names("--defined-only", BUILD + "/check_" + s) for s in tests}
same, alive, made = objects(), [], 0
piles = {path: list(mutants(path)) for path in sorted(glob.glob("lib/*.[ch]"))}
for pile in piles.values():
    chance.shuffle(pile)
table = open(DIR + "/table.tsv", "w", buffering=1)
excused = {line.strip() for line in open("test/survivors.txt") if line[0] != "#"}
while made < wanted and any(piles.values()):
    for path, pile in piles.items():
        verdict = None
        while pile and verdict is None and made < wanted:
            number, line, shown = pile.pop()
            verdict = judge(path, number, line)
            shutil.copy(path, DIR + "/" + path)
        if verdict:
            made, shown = made + 1, path + ": " + shown.strip()
            print(verdict, number + 1, shown, sep="\t", file=table)
            alive += [shown] if verdict == "-" else []
for shown in alive:
    print("mutants: survives%s: %s" % (", excused" * (shown in excused), shown))
killed, known = made - len(alive), len(excused.intersection(alive))
print(f"mutants: made={made} {killed=} survived={len(alive)} excused={known}")
sys.exit(100 * killed < BAR * made or known < len(alive))
