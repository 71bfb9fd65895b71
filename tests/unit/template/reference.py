"""Templates as Hugging Face renders them: jinja2 in its sandbox, with the settings and additions of transformers."""
import copy
import datetime
import functools
import json

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

NOW = 1718454896  # 15 June 2024, 12:34:56 UTC


class Generation(jinja2.ext.Extension):
    """{% generation %}: what the assistant says, rendered as it is."""

    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(lineno)

    @jinja2.pass_eval_context
    def _render(self, context, caller):
        return caller()


class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """jinja2 forgot two methods of lists before 3.1.5, Debian 12's among them."""

    def is_safe_attribute(self, obj, attr, value):
        return super().is_safe_attribute(obj, attr, value) and not (isinstance(obj, list) and attr in ("pop", "clear"))


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def make_environment(now=NOW):
    environment = Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.datetime.fromtimestamp(now).strftime(format)
    return environment


ENVIRONMENT = make_environment()
compiled = functools.lru_cache(maxsize=4)(ENVIRONMENT.from_string)


def render(template, context):
    """The text, or None where Python raises; and the exception."""
    context = copy.deepcopy(context)  # the sandbox has holes: a filter can change a list
    try:
        text = compiled(template).render(**context)
        text.encode()
        return text, None
    except Exception as error:  # whatever Python finds wrong
        return None, error
