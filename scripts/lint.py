#!/usr/bin/env python3
"""The house rules that no compiler checks: include directions, co_await traps, what must not be in a file.

    scripts/lint.py              checks every file of the tree that git does not ignore
    scripts/lint.py --self-test  feeds each rule a bad snippet and sees it refused

A line with `lint-ok: REASON` in a comment is exempt.  DANGEROUS is exempt from the co_await rules: each of its
lines marked `// refused` must break one, and no other.
"""
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
DANGEROUS = PurePosixPath("tests/compiler_traps/dangerous_forms.cpp")

STANDARD_HEADERS = set("""
algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes climits clocale cmath
codecvt compare complex concepts condition_variable coroutine csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime
cuchar cwchar cwctype deque exception execution expected filesystem forward_list fstream functional future initializer_list iomanip
ios iosfwd istream iterator latch limits list map memory memory_resource mutex new numbers numeric optional ostream queue random
ranges ratio scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf string
string_view syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant
vector version
""".split())

PLATFORM_MACRO = re.compile(r"^[ \t]*#[ \t]*(?:el)?if\w*[^\n]*\b(__linux__|__linux|__EMSCRIPTEN__|__APPLE__|_WIN32|_WIN64|_MSC_VER|"
                            r"__FreeBSD__|__OpenBSD__|__NetBSD__|__unix__|__ANDROID__|__wasm\w*)\b", re.M)
PLATFORM_HEADER = re.compile(r"sys/|emscripten|netinet/|arpa/|unistd\.h|fcntl\.h|poll\.h|netdb\.h|pthread\.h|windows\.h|winsock")
HEAVY = re.compile(r"#[ \t]*include[ \t]*<(iostream|regex|locale|format)>|\bstd::(v?format(?:_to(?:_n)?)?|w?regex\w*|locale)\b")
REGISTRY = re.compile(r"\bregistry[.](?:npm|yarn)|\bnpmjs[.](?:com|org)|\b(?:deb|ftp|security|snapshot|archive|ports)[.](?:debian|ubuntu)\b|"
                      r"\bpypi[.]org|\bpythonhosted[.]|\bcrates[.]io|\bproxy[.]golang|\bdl-cdn[.]alpine|\bunpkg[.]com|\bjsdelivr[.]")
MACHINE_PATH = re.compile(r"(?<![\w.$})/-])/(?:work|root)(?=[/\s\"'`:;,)]|$)|(?<![\w.$}/-])/(?:home|Users)/\w+", re.M)


# --- reading C++ --------------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^()\\\s]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![\w])\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    return TOKEN.sub(lambda m: blank(m[0]) if m[0].startswith("/") else m[0], text)


def without_comments_and_strings(text):
    return TOKEN.sub(lambda m: blank(m[0]) if m[0].startswith("/") else '"' + blank(m[0][1:-1]) + '"', text)


OPENING, CLOSING = "([{", ")]}"


def matching_close(text, i):
    """The index of the bracket that closes text[i], or len(text)."""
    depth = 0
    for j in range(i, len(text)):
        if text[j] in OPENING:
            depth += 1
        elif text[j] in CLOSING:
            depth -= 1
            if depth == 0:
                return j
    return len(text)


def matching_open(text, i):
    depth = 0
    for j in range(i, -1, -1):
        if text[j] in CLOSING:
            depth += 1
        elif text[j] in OPENING:
            depth -= 1
            if depth == 0:
                return j
    return -1


LAMBDA_HEAD = re.compile(r"(?<!\])\](?:\s*<[^<>]*>)?(?:\s*\((?:[^()]|\([^()]*\))*\))?(?:\s*(?:mutable|noexcept|constexpr|static))*"
                         r"(?:\s*->\s*[^{};]+?)?\s*$")
BLOCK_HEAD = re.compile(r"(?:\)|\belse|\btry|\bdo|[;{}]|\bmutable|\bnoexcept|\bconst|\boverride)\s*$")


def is_lambda_body(text, brace):
    return bool(LAMBDA_HEAD.search(text[max(0, brace - 300):brace]))


def starts_block(text, brace):
    """Whether the { at text[brace] opens statements (a body), not an initializer."""
    before = text[max(0, brace - 300):brace]
    return not before.strip() or bool(BLOCK_HEAD.search(before)) or is_lambda_body(text, brace)


def statement_start(text, i):
    while i > 0:
        i -= 1
        c = text[i]
        if c == ";" or c == "{":
            return i + 1
        if c == "}":
            opening = matching_open(text, i)
            if opening < 0 or (starts_block(text, opening) and not is_lambda_body(text, opening)):
                return i + 1
            i = opening
        elif c in ")]":
            i = max(matching_open(text, i), 0)
    return 0


def statement_end(text, i):
    while i < len(text):
        c = text[i]
        if c == ";" or c == "}":
            return i
        if c == "{" and BLOCK_HEAD.search(text[max(0, i - 20):i]) and not is_lambda_body(text, i):
            return i  # the body of an if or a loop
        if c in OPENING:
            i = matching_close(text, i)
        i += 1
    return len(text)


def without_lambda_bodies(text):
    out, i = "", 0
    while i < len(text):
        if text[i] == "{" and is_lambda_body(text, i):
            end = matching_close(text, i)
            out += "{" + blank(text[i + 1:end]) + "}"
            i = end
        else:
            out += text[i]
        i += 1
    return out


CONTROL = re.compile(r"\s*(?:(?:else|do|case\b[^:]*:|default\s*:)\s*)*(if|while|for|switch)\s*(?:constexpr\s*)?\(")


def full_expression(text, at):
    """The full expression around the co_await at text[at], its lambda bodies blanked, and whether it is a condition."""
    start, end = statement_start(text, at), statement_end(text, at)
    while True:
        head = CONTROL.match(text, start, end)
        if not head:
            return without_lambda_bodies(text[start:end]), False
        opening = head.end() - 1
        closing = matching_close(text, opening)
        if opening < at < closing:
            parts_start = max([opening] + [m for m in semicolons(text, opening, closing) if m < at]) + 1
            parts_end = min([closing] + [m for m in semicolons(text, opening, closing) if m > at])
            return without_lambda_bodies(text[parts_start:parts_end]), head[1] in ("if", "while", "for", "switch")
        start = closing + 1


def semicolons(text, opening, closing):
    i = opening + 1
    while i < closing:
        if text[i] == ";":
            yield i
        elif text[i] in OPENING:
            i = matching_close(text, i)
        i += 1


CAPTURES = re.compile(r"\[\s*[^\]\s][^\[\]]*\]\s*(?=[({<]|mutable\b|noexcept\b|->)")
DESIGNATORS = re.compile(r"\{\s*\.\s*\w+\s*[={]")
BARE_BRACES = re.compile(r"[(,]\s*\{\s*[^\s}]")


def has_capturing_lambda(expression):
    for m in CAPTURES.finditer(expression):
        before = expression[:m.start()].rstrip()
        if not re.search(r"[\w)\]\[]$", before) or re.search(r"\b(return|co_await|co_return|co_yield)$", before):
            return True
    return False


# What may be a class prvalue: a call, a construction, a std::string's literal.  Whether it is one only a compiler knows.
CLASS_PRVALUE = re.compile(r"\b[A-Za-z_][\w:.]*(?:<[^<>()]*>)?\s*[({]|(?<=\")\s*\"?s\b")


def ternaries(expression):
    """The two branches of every ternary in the expression."""
    for m in re.finditer(r"\?", expression):
        depth, nested, colon = 0, 0, None
        for i in range(m.end(), len(expression) + 1):
            c = expression[i] if i < len(expression) else ";"
            if c in OPENING:
                depth += 1
            elif c in CLOSING:
                depth -= 1
            elif depth == 0 and c == "?":
                nested += 1
            elif depth == 0 and c == ":" and ":" not in (expression[i - 1], expression[i + 1:i + 2]):
                if nested:
                    nested -= 1
                elif colon is None:
                    colon = i
            if depth < 0 or (depth == 0 and c in ",;"):
                if colon is not None:
                    yield expression[m.end():colon], expression[colon + 1:i]
                break


def has_ternary_of_prvalues(expression):
    return any(all(CLASS_PRVALUE.search(branch) and not branch.lstrip().startswith("co_await") for branch in branches)
               for branches in ternaries(expression))


DROPPED_PERMIT = re.compile(r"(?<=[;{})])\s*co_await\s+([\w.:>()\[\]*&-]*?)(?:\.|->)acquire\s*\(")


def dropped_permits(code):
    """Statements that await a lock and keep nothing: gcc 12 does not warn.  A rate limiter gives no permit."""
    for m in DROPPED_PERMIT.finditer(code):
        closing = matching_close(code, m.end() - 1)
        if "limiter" not in m[1] and code[closing + 1:].lstrip().startswith(";"):
            yield m.start(1), "the permit is given back at once: name what acquire() gives"


def co_await_problems(code):
    yield from dropped_permits(code)
    for m in re.finditer(r"\bco_await\b", code):
        expression, condition = full_expression(code, m.start())
        if has_capturing_lambda(expression):
            yield m.start(), "a capturing lambda in a co_await expression: gcc 12 destroys it twice; name it first"
        if DESIGNATORS.search(expression) or BARE_BRACES.search(expression):
            yield m.start(), "a braced aggregate or initializer list in a co_await expression: gcc 12 destroys it twice; name it first"
        if has_ternary_of_prvalues(expression):
            yield m.start(), "a ternary of two calls in a co_await expression: gcc 12 destroys what it gives twice; name it first"
        if condition and re.search(r"&&|\|\|", re.sub(r"auto\s*&&", "auto", expression)):
            yield m.start(), "co_await beside another operand in a condition: gcc 12 mixes up their temporaries; name the result first"


# --- the rules ----------------------------------------------------------------------------------------------------------------

INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*(?:\"([^\"]+)\"|<([^>]+)>)", re.M)


def include_problems(path, code):
    house = path.parts[0]
    for m in INCLUDE.finditer(code):
        quoted, angled = m[1], m[2]
        name = quoted or angled
        target = None
        if quoted and not name.startswith("twinloop/"):
            target = PurePosixPath(os.path.normpath(path.parent / name))
            if not (ROOT / target).exists():
                target = PurePosixPath(os.path.normpath(name))
        owner = target.parts[0] if target and target.parts else ""

        if house == "core":
            if name.startswith("twinloop/"):
                if not (ROOT / "core/include" / name).exists() and public_header_elsewhere(name):
                    yield m.start(), f"core includes {name}, which is not core's"
            elif quoted and owner != "core":
                yield m.start(), f"core includes {name}, which is outside of core"
            elif angled and name not in STANDARD_HEADERS:
                yield m.start(), f"core includes <{name}>, which is not a header of the C++ standard library"
        elif house == "protocols":
            if owner == "backends":
                yield m.start(), f"a protocol includes {name}: protocols are written against core only"
            if angled and PLATFORM_HEADER.match(name):
                yield m.start(), f"a protocol includes <{name}>: what knows a platform belongs under backends/"
        elif house == "backends" and not path.name.startswith("builtin") and owner == "protocols":
            yield m.start(), f"a backend includes {name}: only backends/builtin knows protocols"


def public_header_elsewhere(name):
    return any((folder / name).exists() for folder in ROOT.glob("protocols/*/include"))


def cpp_problems(path, text):
    code = without_comments(text)
    bare = without_comments_and_strings(text)
    house = path.parts[0]
    yield from include_problems(path, code)
    if house in ("core", "protocols"):
        for m in PLATFORM_MACRO.finditer(bare):
            yield m.start(1), f"{m[1]} in {house}/: platform differences are files under backends/, not #ifdefs"
    if house in ("core", "protocols", "bindings") or path.parts[:2] == ("backends", "browser"):
        for m in HEAVY.finditer(bare):
            yield m.start(), f"{(m[1] and '<' + m[1] + '>') or 'std::' + m[2]} costs a wasm build too much"
    if path != DANGEROUS:
        yield from co_await_problems(bare)


def text_problems(text):
    for m in REGISTRY.finditer(text):
        yield m.start(), f"the address of a package registry ({m[0]}...)"
    for m in MACHINE_PATH.finditer(text):
        yield m.start(), f"a path of one machine ({m[0]}...)"
    for place in {str(ROOT), os.path.expanduser("~")}:
        if len(place) > 5 and place in text:
            yield text.index(place), "a path of this machine"


CPP = {".h", ".cpp", ".cc", ".hpp", ".c"}


def problems(path, text):
    """Yields "path:line: what is wrong" of one file; `path` is relative to the tree."""
    path = PurePosixPath(path)
    found = list(text_problems(text))
    if path.suffix in CPP:
        found += cpp_problems(path, text)
    lines = text.split("\n")
    for offset, message in sorted(found):
        line = text.count("\n", 0, offset)
        if "lint-ok:" not in lines[line]:
            yield f"{path}:{line + 1}: {message}"


def tree():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True).stdout.decode().split("\0")
    for name in sorted(set(filter(None, listed))):
        if name == "scripts/lint.py" or not (ROOT / name).is_file():
            continue
        data = (ROOT / name).read_bytes()
        if b"\0" not in data[:4096] and len(data) < 4_000_000:
            yield name, data.decode("utf-8", "replace")


# --- the self-test ------------------------------------------------------------------------------------------------------------

def in_coroutine(body):
    return "Future<void> f() {\n  int x = 0;\n  " + body + "\n}\n"


BAD = [  # (path, text, part of the message)
    ("core/src/a.cpp", "#include <sys/socket.h>\n", "not a header of the C++ standard"),
    ("core/src/a.cpp", "#include <unistd.h>\n", "not a header of the C++ standard"),
    ("core/src/a.cpp", '#include "backends/posix/reactor.h"\n', "outside of core"),
    ("protocols/http/a.cpp", '#include "backends/posix/reactor.h"\n', "against core only"),
    ("protocols/http/a.cpp", "#include <emscripten.h>\n", "belongs under backends"),
    ("backends/epoll/a.cpp", '#include "protocols/http/parser.h"\n', "only backends/builtin"),
    ("core/src/a.cpp", "#ifdef __linux__\n#endif\n", "platform differences"),
    ("core/src/a.cpp", "#if 1 && defined(__EMSCRIPTEN__)\n#endif\n", "platform differences"),
    ("protocols/tls/a.h", "#elif defined(_WIN32)\n", "platform differences"),
    ("core/src/a.cpp", "#include <iostream>\n", "costs a wasm build"),
    ("core/src/a.cpp", "auto s = std::format(\"{}\", 1);\n", "costs a wasm build"),
    ("backends/browser/a.cpp", "#include <regex>\n", "costs a wasm build"),
    ("bindings/js/a.cpp", "std::locale l;\n", "costs a wasm build"),
    ("examples/a.cpp", in_coroutine("co_await run([x](int y) { return y; });"), "capturing lambda"),
    ("examples/a.cpp", in_coroutine("co_await run(\n      [&] { return x; });"), "capturing lambda"),
    ("examples/a.cpp", in_coroutine("auto r = call([this]() mutable {}, co_await g());"), "capturing lambda"),
    ("examples/a.cpp", in_coroutine("co_await [x]() -> Future<void> { co_return; }();"), "capturing lambda"),
    ("examples/a.cpp", in_coroutine("if (x) co_await g({.port = 80});"), "braced aggregate"),
    ("examples/a.cpp", in_coroutine("auto s = co_await connect(url, Options{ .tls = true });"), "braced aggregate"),
    ("examples/a.cpp", in_coroutine("co_await all({a(), b()});"), "braced aggregate"),
    ("examples/a.cpp", in_coroutine("if (co_await g() && name() == std::string(\"x\")) h();"), "in a condition"),
    ("examples/a.cpp", in_coroutine("while (x > 0 ||\n         co_await g()) h();"), "in a condition"),
    ("examples/a.cpp", in_coroutine("co_await s.write(x ? std::string(3, 'a') : name());"), "a ternary of two"),
    ("examples/a.cpp", in_coroutine("use(x > 1 ? Label{1} : Label{2}, co_await g());"), "a ternary of two"),
    ("examples/a.cpp", in_coroutine("co_await (x ? read_a() : read_b());"), "a ternary of two"),
    ("examples/a.cpp", in_coroutine("co_await s.write(x ? \"a\"s : \"b\"s);"), "a ternary of two"),
    ("examples/a.cpp", in_coroutine("co_await s.write(x ? a : x > 3 ? std::string(1, 'b') : label(x));"), "a ternary of two"),
    ("examples/a.cpp", in_coroutine("co_await lock.acquire();"), "the permit is given back at once"),
    ("examples/a.cpp", in_coroutine("if (x) co_await shared->locks[x].acquire(std::max(1s, y));"), "the permit is given back at once"),
    ("README.md", "see https://registry" + ".npmjs.org/x\n", "package registry"),
    ("scripts/a.sh", "apt from deb" + ".debian.org\n", "package registry"),
    ("scripts/a.sh", "cd /" + "work/main\n", "a path of one machine"),
    ("docs/a.md", "in `/" + "root/.cache`\n", "a path of one machine"),
]

GOOD = [
    ("core/src/a.cpp", "#include <vector>\n#include \"twinloop/future.h\"\n// #include <unistd.h>\n"),
    ("core/src/a.cpp", "// std::format and <iostream> are not for us, nor __linux__\n#ifdef NDEBUG\n#endif\n"),
    ("backends/epoll/a.cpp", "#include <sys/epoll.h>\n#include <iostream>\n#ifdef __linux__\n#endif\n"),
    ("backends/builtin.cpp", '#include "protocols/tls/tls.h"\n'),
    ("examples/a.cpp", in_coroutine("while (auto line = co_await s.next_line()) show(*line);")),
    ("examples/a.cpp", in_coroutine("auto work = [x] { return x; };\n  co_await run(work);")),
    ("examples/a.cpp", in_coroutine("co_await run([](IOStream s) -> Future<void> { if (a && b) co_await s.write({}); });")),
    ("examples/a.cpp", in_coroutine("loop.spawn([x]() -> Future<void> { co_await g(x); }(1));")),
    ("examples/a.cpp", in_coroutine("if (a && b) co_await g();\n  for (int i : {1, 2}) co_await h(i);")),
    ("examples/a.cpp", in_coroutine("if (a && b) {\n    co_await g();\n  }\n  Options o{.port = 1};\n  co_await h(o);")),
    ("examples/a.cpp", in_coroutine("co_await items[x](1);\n  co_await handlers[x + 1](Options{});")),
    ("examples/a.cpp", in_coroutine("if (auto r = co_await g(); r && x) h();\n  const char* s = \"co_await f({.a = 1})\";")),
    ("examples/a.cpp", in_coroutine("const Permit held = co_await lock.acquire();\n  co_await limiter.acquire();")),
    ("examples/a.cpp", in_coroutine("co_await use(lock.acquire());\n  co_return co_await lock.acquire();")),
    ("examples/a.cpp", in_coroutine("(co_await lock.acquire()).detach();")),
    ("examples/a.cpp", in_coroutine("const std::string a = x ? b() : c();\n  co_await s.write(x ? a : b);\n  co_await s.write(x ? \"a\" : \"b\");")),
    ("examples/a.cpp", in_coroutine("co_await s.read_bytes(x ? std::npos : 3);\n  co_await h(x ? a::b : c::d, f(1));")),
    ("examples/a.cpp", in_coroutine("co_await g(x ? size() : 0);\n  const int y = x ? co_await g(1) : co_await h(1);")),
    ("tests/compiler_traps/dangerous_forms.cpp", in_coroutine("co_await run([x] { return x; });")),
    ("examples/a.cpp", in_coroutine("co_await run([x] { return x; });  // lint-ok: shows the trap")),
    ("scripts/a.sh", 'cd "$TWINLOOP_ROOT/work"; ls build/root/x "$HOME/.cache" /usr/share\n'),
]


def dangerous_forms_not_refused():
    text = (ROOT / DANGEROUS).read_text(encoding="utf-8")
    found = {text.count("\n", 0, at) + 1 for at, _ in co_await_problems(without_comments_and_strings(text))}
    marked = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("// refused")}
    for number in sorted(found ^ marked):
        print(f"self-test: {DANGEROUS}:{number}: " + ("refused without a mark" if number in found else "not refused"))
    return len(found ^ marked)


def self_test():
    wrong = 0
    for path, text, message in BAD:
        found = list(problems(path, text))
        if not any(message in line for line in found):
            wrong += 1
            print(f"self-test: not refused as '{message}': {path}: {text!r}; found {found}")
    for path, text in GOOD:
        for line in problems(path, text):
            wrong += 1
            print(f"self-test: refused without reason: {line}: {text!r}")
    wrong += dangerous_forms_not_refused()
    print(f"lint self-test: {len(BAD) + len(GOOD)} snippets, {wrong} judged wrongly")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    files, bad = 0, 0
    for name, text in tree():
        files += 1
        for line in problems(name, text):
            bad += 1
            print(line)
    print(f"lint: {files} files, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
