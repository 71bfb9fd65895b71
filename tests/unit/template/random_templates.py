"""Templates made at random over the snippets' context.

Expressions are made for a kind of value (n number, s string, l list, d dict, b truth value, a any), so that most of
them work; now and then one gets a kind that it does not expect, so that errors are compared, too.
"""
import json
import pathlib
import random
import re

CONTEXT = json.loads((pathlib.Path(__file__).resolve().parents[2] / "golden" / "templates" / "context.json").read_text(
    encoding="utf-8"))

# What a kind can be made from. {n} stands for an expression of kind n, and so on; {k} for a key, {i} for a small integer,
# {t} for a short literal text.
PRODUCTIONS = {
    "n": ["0", "1", "2", "3", "-1", "7", "10", "1.5", "-2.5", "0.1", "1e3", "2.0", "100", "zero", "one", "seven",
          "negative", "pi", "half", "whole", "small", "huge", "big", "yes", "{n} + {n}", "{n} - {n}", "{n} * {n}",
          "{n} / {n}", "{n} // {n}", "{n} % {n}", "{n} ** {i}", "-{n}", "{s}|length", "{l}|length", "{d}|length",
          "{s}|int", "{s}|float", "{n}|int", "{n}|float", "{n}|abs", "{n}|round", "{n}|round({i})",
          "{n}|round(1, 'floor')", "{n}|round(2, 'ceil')", "{s}.find({s})", "{s}.rfind({t})", "{s}.count({s})",
          "{l}|sum", "{l}|max", "{l}|min", "numbers|sum", "numbers[{i}]", "users[{i}].age", "{l}.count({a})",
          "{a}|default({n})", "{n} if {b} else {n}", "{s}.index({t})", "{l}|first", "{l}|last",
          "users|map(attribute='age')|max", "users|sum(attribute='age')", "{b}|int", "{s}|int({n})"],
    "s": ["''", "'a'", "'abc'", "'A b c'", "' pad '", "'a,b,,c'", "'é日ß'", "'<&>'", "'1'", "'-3.7'", "'x\\ny\\n'",
          "\"it's\"", "'ΑΣ'", "'one two  three'", "'{k}'", "name", "empty", "text", "lines", "unicode", "html",
          "{s} ~ {a}", "{a} ~ {a}", "{s} + {s}", "{s} * {i}", "{s}.upper()", "{s}.lower()", "{s}.title()",
          "{s}.capitalize()", "{s}.strip()", "{s}.strip({t})", "{s}.lstrip({t})", "{s}.rstrip({t})",
          "{s}.replace({t}, {t})", "{s}.replace({t}, {t}, {i})",
          "{s}.removeprefix({t})", "{s}.removesuffix({t})", "{s}.join({l}|map('string'))",
          "{s}|upper", "{s}|lower", "{s}|title", "{s}|capitalize", "{s}|trim", "{s}|trim({t})", "{s}|e", "{s}|safe",
          "{s}|escape", "{s}|replace({t}, {t})", "{s}|indent", "{s}|indent({i}, true)",
          "{s}|indent(first=true, blank=true)",
          "{s}|reverse", "{l}|join", "{l}|join({t})", "{l}|join(', ', attribute='name')",
          "{a}|string", "{a}|tojson", "{a}|tojson(indent=2)", "{a}|tojson(sort_keys=true)", "{a}|tojson(ensure_ascii=true)",
          "{a}|tojson(separators=(',', ':'))", "{s}[{i}]", "text[{i}:{i}]", "unicode[::-1]", "unicode[{i}:]", "lines[:{i}]",
          "text[{i}:{i}:{i}]", "{s} if {b} else {s}", "{s} if {b}", "{s} or {s}", "{s} and {s}",
          "'%s' % ({a})", "'%s|%r' % ({a}, {a})", "'%5s|%-5s|' % ({a}, {s})", "'%d %05d %+d' % ({n}, {n}, {n})",
          "'%x %X %04d %-6.1f|' % ({i}, {i}, {i}, {n})", "'%f %.2f %e %g %G' % ({n}, {n}, {n}, {n}, {n})",
          "'%(a)s' % {{'a': {a}}}", "'%.2s|%10.1f|%-8d|' % ({s}, {n}, {i})", "'{{}}'.format({a})",
          "'{{:>8}}|{{:<8}}|{{:^8}}|'.format({s}, {n}, {s})", "'{{0}} {{a}} {{0!r}}'.format({a}, a={a})",
          "'{{:+.2f}} {{:e}} {{:g}} {{:8.1f}}'.format({n}, {n}, {n}, {n})",
          "'{{:05d}} {{:x}} {{:+}} {{:*^6}}'.format({i}, {i}, {i}, {i})", "'{{0[0]}}'.format({l})",
          "('{{}}'|safe).format({s})", "('%s'|safe) % {s}", "users[{i}]['name']",
          "messages[{i}].role", "messages[{i}].content", "{a}|default({s}, true)", "table|string", "strftime_now('%H:%M')",
          "{s}|format({a})", "dict(a={s}).a", "namespace(q={s}).q", "{l}|tojson|safe", "{s}.partition({t})[0]",
          "{s}.split({t})[-1]", "{s}|first", "{s}|last", "{s}|list|join('.')"],
    "l": ["[]", "[{a}]", "[{a}, {a}]", "[{n}, {n}, {n}]", "[{s}, {s}, {s}]", "({a}, {a})", "numbers", "floats", "words",
          "mixed", "nested", "empty_list", "users", "tree", "messages", "{l} + {l}", "{l} * {i}", "{s}.split()",
          "{s}.split({t})", "{s}.split({t}, {i})", "{s}.rsplit({t}, {i})", "{s}.splitlines()", "{s}|list", "{d}|list",
          "{d}.keys()|list", "{d}.values()|list", "{d}.items()|list", "{d}|items|list", "{d}|dictsort",
          "{d}|dictsort(by='value')", "{d}|dictsort(true, reverse=true)", "range({i})|list", "range({i}, {i})|list",
          "range({i}, {i}, {i})|list", "{l}|sort", "{l}|sort(reverse=true)", "[{s}, {s}, {s}]|sort(case_sensitive=true)",
          "users|sort(attribute='{k}')", "users|sort(attribute='age,name')", "{l}|unique|list", "{l}|reverse|list",
          "{l}|map('string')|list", "{l}|map('upper')|list", "{l}|map(attribute='{k}')|list", "{l}|map('default', {a})|list",
          "{l}|map(attribute='{k}', default={a})|list", "users|map(attribute='{k}')|list", "{l}|select|list",
          "{l}|select('string')|list", "{l}|reject('none')|list", "numbers|select('gt', {n})|list",
          "users|selectattr('{k}')|list", "users|rejectattr('{k}')|list", "users|selectattr('{k}', 'eq', {a})|list",
          "messages|selectattr('role', '==', {s})|list",

          "numbers[{i}:]", "words[:{i}]", "mixed[{i}:{i}]", "mixed[::-1]", "mixed[{i}:{i}:{i}]", "messages[1:]",
          "{l} if {b} else {l}", "{l} or {l}", "{s}.partition({t})", "{s}.rpartition({t})", "nested|sum(start=[])",
          "{l}.copy()", "{s}|map('upper')|list"],
    "d": ["{{}}", "{{'{k}': {a}}}", "{{'a': {a}, 'b': {a}}}", "{{{n}: {a}, {s}: {a}}}", "table", "deep", "empty_dict",
          "users[{i}]", "messages[{i}]", "dict({d}, q={a})", "dict({d})", "dict(a={a}, b={a})", "{d} if {b} else {d}",
          "{d}.copy()", "deep.x", "mixed[6]", "dict([('a', {a})])"],
    "b": ["yes", "no", "true", "false", "{n} == {n}", "{n} < {n}", "{n} >= {n}", "{s} == {s}", "{s} < {s}", "{s} in {s}",
          "{a} in {l}", "{a} not in {l}", "{s} in {d}", "{a} == {a}", "{a} != {a}", "{l} == {l}", "{l} < {l}", "not {a}",
          "{b} and {b}", "{b} or {b}", "{n} < {n} <= {n}", "{a} is defined", "{a} is none", "{a} is string",
          "{a} is number", "{a} is integer", "{a} is float", "{a} is boolean", "{a} is mapping", "{a} is sequence",
          "{a} is iterable", "{a} is callable", "{a} is true", "{a} is not false", "{n} is odd", "{n} is even",
          "{n} is divisibleby({i})", "{n} is eq {n}", "{n} is gt({n})", "{a} is in({l})", "{a} is sameas none",
          "{s} is lower", "{s} is upper", "{s} is escaped", "{s} is filter", "{s}.startswith({t})", "{s}.endswith({t})",
          "{s}.startswith(({t}, {t}), {i})", "{s}.isdigit()", "{s}.isalpha()", "{s}.isalnum()", "{s}.isspace()",
          "{s}.islower()", "{s}.isupper()", "missing is defined", "x is defined"],
    "a": ["{n}", "{s}", "{l}", "{d}", "{b}", "none", "nothing", "missing", "x", "y", "z", "{d}.{k}", "{d}['{k}']",
          "{d}.get('{k}')", "{d}.get({s}, {a})", "{l}[{i}]", "{l}|first", "{l}|last", "mixed[{i}]", "deep.x.y.z",
          "users[{i}].{k}", "{a} or {a}", "{a} and {a}", "{a} if {b} else {a}", "{a} if {b}", "{a}|default({a})",
          "{a}|d({a}, true)", "{l}|max", "{l}|min", "{d}|attr('{k}')", "namespace(a={a}).a", "{a}|attr('upper')",
          "{a}.{k}", "{a}[{a}]", "{a} + {a}", "{a} * {a}", "{a}|{f}"],
}
KEYS = ["name", "age", "role", "content", "x", "items", "a", "b", "tags", "kids", "v", "city", "admin", "get", "y", "list"]
FILTERS = ["abs", "capitalize", "count", "e", "first", "float", "int", "last", "length", "list", "lower", "max", "min",
           "reverse", "safe", "sort", "string", "sum", "title", "tojson", "trim", "upper", "dictsort", "round",
           "join", "default", "indent"]
TEXTS = ["' '", "','", "'a'", "'b'", "'\\n'", "'o'", "''", "'xyz'", "'l'", "'é'", "'--'", "'<'"]
STRANGE = 0.02  # how often a kind is another one
LOOP = ["index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem", "depth",
        "cycle('a', 'b')", "changed(x)"]


class Source:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, choices):
        return self.random.choice(choices)

    def chance(self, probability):
        return self.random.random() < probability

    # ---- expressions ----

    def part(self, kind, depth):
        if kind == "k":
            return self.pick(KEYS)
        if kind == "i":
            return self.pick(["0", "1", "2", "3", "5", "-1", "-2", "9"])
        if kind == "t":
            return self.pick(TEXTS)
        if kind == "f":
            return self.pick(FILTERS)
        inner = self.expression(self.pick("nsldb") if self.chance(STRANGE) else kind, depth)
        return inner if re.fullmatch(r"\w+|'[^']*'", inner) else f"({inner})"

    def expression(self, kind, depth):
        choices = PRODUCTIONS[kind]
        if depth <= 0:
            choices = [p for p in choices if not re.search(r"\{[nsldba]\}", p)] or ["1"]
        production = self.pick(choices)
        filled = re.sub(r"(?<!\{)\{([nsldbakitf])\}", lambda m: self.part(m[1], depth - 1), production)
        return filled.replace("{{", "{").replace("}}", "}") if "{{" in production else filled

    def any(self, depth):
        return self.expression(self.pick("nsslldba"), depth)

    # ---- text and tags ----

    def white(self):
        return self.pick(["", "", "", "\n", " ", "\n  ", "  \n", "text", "\t"])

    def tag(self, text):
        return "{%" + self.pick(["", "", "", "-", "+"]) + f" {text} " + self.pick(["", "", "", "-"]) + "%}" + self.white()

    def print(self, text):
        return "{{" + self.pick(["", "", "-"]) + f" {text} " + self.pick(["", "", "-"]) + "}}" + self.white()

    # ---- statements ----

    def block(self, depth, in_loop=False):
        return "".join(self.statement(depth, in_loop) for _ in range(self.random.randrange(1, 4)))

    def loop(self, depth):
        targets, iterable = self.pick([("x", "{l}"), ("x", "{l}"), ("y", "{s}"), ("x, y", "{d}.items()"), ("v", "{d}"),
                                       ("name", "range({i})"), ("x, y", "{d}|dictsort"), ("x", "numbers|map('string')"),
                                       ("x, y", "[[1, 2], [3, 4]]")])
        head = f"for {targets} in " + re.sub(r"\{(\w)\}", lambda m: self.part(m[1], 1), iterable)
        if self.chance(0.2):
            head += f" if {self.expression('b', 1)}"
        otherwise = self.tag("else") + self.block(depth - 1) if self.chance(0.3) else ""
        return self.tag(head) + self.block(depth - 1, True) + otherwise + self.tag("endfor")

    def branch(self, depth, in_loop):
        out = self.tag(f"if {self.expression('b', 2)}") + self.block(depth - 1, in_loop)
        for _ in range(self.pick([0, 0, 0, 1, 2])):
            out += self.tag(f"elif {self.expression('b', 2)}") + self.block(depth - 1, in_loop)
        if self.chance(0.4):
            out += self.tag("else") + self.block(depth - 1, in_loop)
        return out + self.tag("endif")

    def macro(self, depth):
        parameters, calls = self.pick([("", ["", "1"]), ("x", ["1", "", "x=2", "*[1]"]), ("x, y", ["1, 2", "y=1", "1, y=2"]),
                                       ("x, y=1", ["1", "1, 2", "**{'x': 3}"]), ("x=v, y=x", ["", "1", "1, 2, 3"])])
        rest = self.pick(["", "", self.print("varargs"), self.print("kwargs")])
        caller = self.print("caller(1)") if self.chance(0.3) else ""
        out = self.tag(f"macro m({parameters})") + self.block(depth - 1) + rest + caller + self.tag("endmacro")
        call = self.pick(calls + [self.expression("a", 1)])
        if caller and self.chance(0.8):
            return out + self.tag(f"call(z) m({call})") + self.block(depth - 1) + self.tag("endcall")
        return out + self.print(f"m({call})")

    def inner(self, depth):
        begin, end = self.pick([("filter upper", "endfilter"), ("set w", "endset"), ("set z | trim", "endset"),
                                ("with x = 1, y = x", "endwith"), ("generation", "endgeneration"), ("set ns.a", "endset")])
        return self.tag(begin) + self.block(depth - 1) + self.tag(end)

    def small(self, in_loop):
        kind = self.random.randrange(8)
        if kind < 3:
            return self.print(self.any(2))
        if kind == 3 and in_loop:
            return self.print("loop." + self.pick(LOOP))
        if kind < 5:
            return self.print(self.pick(["x", "y", "z", "v", "name", "w", "ns.a"]))
        if kind < 7:
            return self.tag(f"set {self.pick(['x', 'y', 'z', 'v', 'name', 'ns.a'])} = {self.any(2)}")
        return self.pick(["{# comment #}", "{#- c -#}", "{% raw %} {{ x }} {% endraw %}", "\n", "text\n",
                          "{% set ns = namespace(a=1) %}", "{% set x, y = 1, 2 %}"])

    def statement(self, depth, in_loop=False):
        kind = self.random.randrange(10) if depth > 0 else 0
        if kind < 4:
            return self.small(in_loop)
        if kind < 6:
            return self.loop(depth)
        if kind < 8:
            return self.branch(depth, in_loop)
        if kind == 8:
            return self.macro(depth) if self.chance(0.5) else self.inner(depth)
        if in_loop:
            return self.tag(f"if {self.expression('b', 1)}") + self.tag(self.pick(["break", "continue"])) + self.tag("endif")
        return self.small(in_loop)

    def case(self):
        """(template, context)"""
        if self.chance(0.5):
            return self.print(self.any(self.pick([1, 2, 2, 3, 4]))), CONTEXT
        return "{% set ns = namespace(a=1) %}" + self.block(3), CONTEXT
