# SPDX-License-Identifier: Apache-2.0
"""The plot of the README: what each tool adds to a malloc/free pair, by depth of the stack, on a logarithmic scale, as
an SVG that is readable on white and on black."""
import math
import xml.sax.saxutils

import pairs
import tools
from tools import EXACT, FORWARD, HEAPTRACK, LSAN_FRAME_POINTERS, LSAN_LINKED, SAMPLED

GROUPS = (  # Those that sample, and those that record each allocation.
    (FORWARD, SAMPLED, tools.JEMALLOC_SAMPLED, tools.TCMALLOC_SAMPLED),
    (EXACT, LSAN_LINKED, LSAN_FRAME_POINTERS, HEAPTRACK, tools.VALGRIND, tools.JEMALLOC_EXACT, tools.TCMALLOC_PROFILER),
)
WIDTH, LEFT, RIGHT, TOP, ROW, GAP = 860, 270, 110, 74, 26, 14
LEAST_NS, MOST_NS = 0.1, 100_000
MARKS = {10: ("circle", "ten"), 50: ("diamond", "fifty")}
# Grey that is readable on both, and better where the reader's wish is known.
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #7d8590 }
  .title { font-size: 15px; font-weight: 600 }
  .ours { font-weight: 700 }
  .grid { stroke: #8c959f; stroke-opacity: .35 }
  .span { stroke: #8c959f; stroke-width: 2 }
  .ten { fill: #2f81f7 }
  .fifty { fill: #e8590c }
  @media (prefers-color-scheme: light) { text { fill: #57606a } .title, .ours { fill: #1f2328 } }
  @media (prefers-color-scheme: dark) { text { fill: #9da7b3 } .title, .ours { fill: #e6edf3 } }
"""


def x_of(added_ns):
    """What is less than the scale shows, or below nothing by noise, stands at its beginning."""
    share = math.log(max(added_ns, LEAST_NS) / LEAST_NS) / math.log(MOST_NS / LEAST_NS)
    return LEFT + min(share, 1) * (WIDTH - LEFT - RIGHT)


def text(x, y, words, kind="", anchor="start"):
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{attribute}>{xml.sax.saxutils.escape(words)}</text>'


def mark(x, y, depth):
    shape, kind = MARKS[depth]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" class="{kind}"/>'
    return f'<path d="M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z" class="{kind}"/>'


def scale(height):
    lines = []
    for exponent in range(round(math.log10(LEAST_NS)), round(math.log10(MOST_NS)) + 1):
        x = x_of(10.0 ** exponent)
        lines.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 8}" class="grid"/>')
        lines.append(text(x, TOP - 12, f"{10.0 ** exponent:,g} ns", anchor="middle"))
    return lines


def row(y, tool, added):
    """Both depths of a tool, and their figures behind."""
    xs = {depth: x_of(value) for depth, value in added.items()}
    words = " · ".join(f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}" for value in added.values())
    lines = [text(LEFT - 16, y + 4, tool.name, "ours" if tool in (SAMPLED, EXACT) else "", "end"),
             f'<line x1="{min(xs.values()):.1f}" y1="{y}" x2="{max(xs.values()):.1f}" y2="{y}" class="span"/>']
    lines += [mark(x, y, depth) for depth, x in xs.items()]
    return [*lines, text(max(xs.values()) + 14, y + 4, words)]


def svg(bench):
    """The picture, of the figures of the part `pairs`."""
    body, y = [], TOP + ROW // 2
    for members in GROUPS:
        for tool in members:
            added = {depth: bench.added(f"one_thread/{depth}", tool) for depth in pairs.DEPTHS}
            if None not in added.values():
                body += row(y, tool, added)
                y += ROW
        y += GAP
    height = y
    head = [text(16, 24, "Added to a malloc/free pair: one thread, stacks of 10 and of 50 frames", "title"),
            mark(22, 43, 10), text(34, 47, "10 frames"), mark(116, 43, 50), text(128, 47, "50 frames")]
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
                      f'height="{height}" role="img">',
                      "<title>Nanoseconds added to a malloc/free pair, by tool</title>", f"<style>{STYLE}</style>", *head, *scale(height), *body, "</svg>"]) + "\n"
