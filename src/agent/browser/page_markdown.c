// A page as Markdown, for what an agent wants to read rather than act on: headings, lists, tables, links. Written by a
// script in each frame, one after the other; closed shadow roots are out of its reach.
#include "agent/browser/act.h"

#include <string.h>

#include <jansson.h>

static const char script[] =
    "function(links, images) {"
    "  const quiet = new Set(['script', 'style', 'noscript', 'template', 'head', 'svg']);"
    "  const blocks = new Set(['address', 'article', 'aside', 'blockquote', 'dd', 'details', 'dialog', 'div', 'dl', "
    "'dt',"
    "    'fieldset', 'figure', 'footer', 'form', 'header', 'hr', 'main', 'nav', 'ol', 'p', 'section', 'summary', "
    "'ul']);"
    "  const flat = text => text.replace(/\\s+/g, ' ');"
    "  const inner = node => [...(node.shadowRoot || node).childNodes].map(write).join('');"
    "  const cell = node => flat(inner(node)).trim().replace(/\\|/g, '\\\\|');"
    "  const table = node => {"
    "    const rows = [...node.rows].map(row => [...row.cells].map(cell));"
    "    if (!rows.length) return '';"
    "    const width = Math.max(...rows.map(row => row.length));"
    "    const line = row => '| ' + [...row, ...Array(width - row.length).fill('')].join(' | ') + ' |\\n';"
    "    return '\\n\\n' + line(rows[0]) + line(Array(width).fill('---')) + rows.slice(1).map(line).join('') + '\\n';"
    "  };"
    "  const item = node => {"
    "    const list = node.parentElement;"
    "    const mark = list && list.localName === 'ol' ? [...list.children].indexOf(node) + 1 + '. ' : '- ';"
    "    return '\\n' + mark + inner(node).trim().replace(/\\n+/g, '\\n  ');"
    "  };"
    "  const write = node => {"
    "    if (node.nodeType === Node.TEXT_NODE) return flat(node.data);"
    "    if (node.nodeType !== Node.ELEMENT_NODE || quiet.has(node.localName)) return '';"
    "    if (node.localName === 'slot') return (node.assignedNodes().length ? node.assignedNodes() : "
    "[...node.childNodes])"
    "      .map(write).join('');"
    "    if (node.checkVisibility && !node.checkVisibility() && node.localName !== 'option') return '';"
    "    switch (node.localName) {"
    "    case 'br': return '\\n';"
    "    case 'hr': return '\\n\\n---\\n\\n';"
    "    case 'h1': case 'h2': case 'h3': case 'h4': case 'h5': case 'h6':"
    "      return '\\n\\n' + '#'.repeat(+node.localName[1]) + ' ' + flat(inner(node)).trim() + '\\n\\n';"
    "    case 'li': return item(node);"
    "    case 'table': return table(node);"
    "    case 'pre': return '\\n\\n```\\n' + node.innerText.replace(/\\n$/, '') + '\\n```\\n\\n';"
    "    case 'b': case 'strong': return '**' + inner(node).trim() + '**';"
    "    case 'a': return links && node.href ? '[' + flat(inner(node)).trim() + '](' + node.href + ')' : inner(node);"
    "    case 'img': return images && node.src ? '![' + node.alt + '](' + node.src + ')' : node.alt;"
    "    case 'input': return ['hidden', 'password'].includes(node.type) ? '' : ' ' + node.value + ' ';"
    "    case 'textarea': return ' ' + node.value + ' ';"
    "    case 'select': return ' ' + [...node.selectedOptions].map(o => o.text).join(', ') + ' ';"
    "    }"
    "    return blocks.has(node.localName) ? '\\n\\n' + inner(node) + '\\n\\n' : inner(node);"
    "  };"
    "  return document.body ? write(document.body).replace(/[ \\t]+\\n/g, '\\n').replace(/\\n[ \\t]+(?![-\\d ])/g, "
    "'\\n')"
    "    .replace(/\\n{3,}/g, '\\n\\n').trim() : '';"
    "}";

tb_code tb_browser_read_markdown(tb_str *out, tb_browser *browser, bool links, bool images, tb_error *err)
{
    json_t *arguments = json_pack("[b, b]", links, images), *texts;
    tb_code rc = tb_frames_call(&texts, browser, script, arguments, err);
    for (size_t i = 0; i < json_array_size(texts) && !rc; i++) {
        tb_text text = tb_json_get_text(json_array_get(texts, i));
        if (text.size == 0)
            continue;
        if (out->size)
            rc = tb_str_append_text(out, "\n\n", err);
        if (!rc)
            rc = tb_str_append(out, text.data, text.size, err);
    }
    if (!rc && out->size)
        rc = tb_str_append(out, "\n", 1, err);
    json_decref(arguments);
    json_decref(texts);
    return rc;
}
