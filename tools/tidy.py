#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the tree that no compiler checks, as a test. Prints one line per finding (file:line: rule: what) and fails if there is one.

Usage: tools/tidy.py [--format] [--list-rules]
  --format   also ask clang-format (version 14 or newer) about every file; only reports
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILE_LINES_MAX = 900
FUNCTION_LINES_MAX = 80
CODE_COLUMNS_MAX = 145   # 100 is what one aims at; clang-format keeps to it where it may break a line
COMMENT_COLUMNS_MAX = 165
TAB = 8

# Who may include whom (docs/HACKING.md explains it): layer -> layers. Own directory is always allowed.
MAY_INCLUDE = {
    'common/base': set(),
    'proto': {'common/base'},
    'common/cluster': {'common/base', 'proto'},
    'common/core': {'common/base', 'proto'},
    'common/io': {'common/base', 'proto', 'common/core'},
    'mds': {'common/base', 'proto', 'common/cluster', 'common/core'},
    'oss': {'common/base', 'proto', 'common/cluster', 'common/core'},
    'client': {'common/base', 'proto', 'common/cluster', 'common/core'},
    'tests/sim': {'common/base', 'proto', 'common/cluster', 'common/core', 'mds', 'oss', 'client', 'tests/conform',
                  'tests/linear'},
    'tests/linear': {'common/base'},
    'tests/coherence': set(),
    'tests/conform': {'common/base', 'proto', 'common/cluster', 'common/core', 'common/io', 'tests/sim'},
    'tests/unit': {'common/base', 'proto', 'common/cluster', 'common/core', 'mds', 'oss', 'client', 'tests/sim'},
    'tests/fuzz': {'common/base', 'proto', 'common/cluster', 'common/core', 'tests/unit'},
    'tools/cli': {'common/base', 'proto', 'common/cluster'},
    'tools/admin': {'common/base', 'proto', 'common/cluster', 'common/core'},
    'tools/bench': {'common/base'},
    'tools': {'common/base', 'proto', 'common/cluster', 'common/core'},
}
LAYERS = sorted(MAY_INCLUDE, key=len, reverse=True)
PROGRAM_EXTRA = {'common/io', 'common/core', 'common/cluster', 'common/base', 'proto'}

MAY_LOCK = {'common/core/mbox.c', 'common/core/mbox.h', 'common/core/metric.c', 'common/core/trace.c',
            'common/io/threads.c', 'common/io/kv_rocks.c'}
MAY_CLOCK = {'tests/sim/main.c', 'common/core/trace.c'}  # the ring's records are for a person who reads a crash; nothing decides by them
MAY_MALLOC = {'common/base/mem.c', 'common/base/mem.h'}
LOCK = re.compile(r'\b(pthread_mutex\w*|pthread_cond\w*|pthread_rwlock\w*|mtx_\w+|_Atomic|atomic_\w+|__atomic_\w+|__sync_\w+|volatile|_Thread_local|__thread|thread_local)\b')
MALLOC = re.compile(r'(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup|asprintf|posix_memalign|aligned_alloc)\s*\(')
TIME = re.compile(r'(?<![\w.>])(time|gettimeofday|clock_gettime|localtime|gmtime|sleep|nanosleep|getrandom|random_r|drand48|arc4random\w*)\s*\(')
LEFTOVER = re.compile(r'\b(TODO|FIXME|XXX|HACK|not implemented|unimplemented|stub)\b', re.I)
SPDX = 'SPDX-License-Identifier: Apache-2.0'
SOURCE_ENDINGS = ('.c', '.h')

findings = []


def found(path, line, rule, what):
    findings.append(f'{path}:{line}: {rule}: {what}')


def tracked_files():
    """What git knows or would know; without git (an exported tree) everything but build folders."""
    try:
        out = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=ROOT, check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
        names = [n for n in out.split('\0') if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for base, dirs, files in os.walk(ROOT):
            dirs[:] = [d for d in dirs if not d.startswith('build') and d not in ('.git', 'run')]
            names += [os.path.relpath(os.path.join(base, f), ROOT) for f in files]
    return sorted(n for n in names if os.path.isfile(os.path.join(ROOT, n)))


def layer_of(path):
    for layer in LAYERS:
        if path.startswith(layer + '/'):
            return layer
    return None


def is_program(path):
    name = os.path.basename(path)
    return name == 'main.c' or name.endswith('_main.c')


def strip_comments(text):
    """Comments and string contents become blanks; line numbers and columns stay."""
    def blank(match):
        s = match.group(0)
        if s[0] in '"\'':
            return s[0] + ' ' * (len(s) - 2) + s[0]
        return re.sub(r'[^\n]', ' ', s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def columns(line):
    at = 0
    for c in line:
        at = (at // TAB + 1) * TAB if c == '\t' else at + 1
    return at


def check_includes(path, lines):
    layer = layer_of(path)
    if layer is None:
        return
    allowed = MAY_INCLUDE[layer] | {layer}
    if is_program(path):
        allowed = allowed | PROGRAM_EXTRA
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        target = layer_of(match.group(1))
        if target is None:
            found(path, number, 'include', f'"{match.group(1)}" is not a path from the root of the tree')
        elif target not in allowed:
            found(path, number, 'include', f'{layer} may not include {target} ("{match.group(1)}")')


def check_calls(path, lines):
    layer = layer_of(path)
    runtime = layer in ('common/base', 'common/core', 'common/cluster', 'proto', 'mds', 'oss', 'client')
    for number, line in enumerate(lines, 1):
        if layer and not layer.startswith('t') and path not in MAY_LOCK:
            match = LOCK.search(line)
            if match:
                found(path, number, 'lock', f'{match.group(1)}: only {", ".join(sorted(MAY_LOCK))} may')
        if runtime and path not in MAY_MALLOC:
            match = MALLOC.search(line)
            if match:
                found(path, number, 'malloc', f'{match.group(1)}: use mem_alloc, mem_free or an arena (common/base/mem.h)')
        if (runtime or layer == 'tests/sim') and path not in MAY_CLOCK:
            match = TIME.search(line)
            if match:
                found(path, number, 'world', f'{match.group(1)}: time and randomness come through the seams (common/core/env.h)')
        if runtime and re.search(r'\btypedef\s+struct\b', line):
            found(path, number, 'typedef', 'no struct typedefs')


def check_functions(path, lines):
    """A function begins with a line that starts in column 0 and whose body opens with '{' in column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith('{'):
            start = number
        elif line.startswith('}') and start is not None:
            if number - start - 1 > FUNCTION_LINES_MAX:
                found(path, start, 'function', f'{number - start - 1} lines; {FUNCTION_LINES_MAX} is the most')
            start = None


def check_source(path, text):
    lines = text.split('\n')
    bare = strip_comments(text).split('\n')
    if len(lines) > FILE_LINES_MAX:
        found(path, len(lines), 'file', f'{len(lines)} lines; {FILE_LINES_MAX} is the most')
    for number, (line, code) in enumerate(zip(lines, bare), 1):
        is_comment = code.strip() == '' or '/*' in line or re.match(r'\s*(#\s*define|OP\(|F\(|C\(|E\(|M\()', line) is not None
        limit = COMMENT_COLUMNS_MAX if is_comment or '"' in line else CODE_COLUMNS_MAX
        if columns(line) > limit:
            found(path, number, 'width', f'{columns(line)} columns; {limit} is the most')
    check_includes(path, [l if re.match(r'\s*#\s*include', l) else '' for l in lines])
    check_calls(path, bare)
    check_functions(path, bare)
    if path.endswith('.h') and not path.endswith('.def.h') and not re.search(r'#ifndef STRIA_\w+_H\n#define STRIA_\w+_H', text):
        found(path, 1, 'guard', 'a header needs an include guard STRIA_…_H')


def check_options_are_used(files):
    """Every row of the option table is read by somebody: an option without effect is a lie."""
    if not {'mds/main.c', 'oss/main.c', 'client/fuse_main.c'} <= set(files):
        return
    table = open(os.path.join(ROOT, 'common/core/conf.def.h'), encoding='utf-8').read()
    code = ''
    for path in files:
        if path.endswith('.c') and not path.startswith('tests/') and path != 'common/core/conf.c':
            code += open(os.path.join(ROOT, path), encoding='utf-8').read()
    for match in re.finditer(r'^C\((\w+),', table, re.M):
        if not re.search(r'(conf|options)\w*(\.conf)?(\.|->)(conf\.)?' + match.group(1) + r'\b', code):
            line = table[:match.start()].count('\n') + 1
            found('common/core/conf.def.h', line, 'option', f'{match.group(1)}: nobody reads it')


def check_format(files):
    try:
        version = subprocess.run(['clang-format', '--version'], stdout=subprocess.PIPE).stdout.decode()
    except OSError:
        print('clang-format is not installed: not asked')
        return
    match = re.search(r'version (\d+)', version)
    if not match or int(match.group(1)) < 14:
        print('clang-format is older than 14: not asked')
        return
    unformatted = [p for p in files if p.endswith(SOURCE_ENDINGS) and
                   subprocess.run(['clang-format', '--dry-run', '-Werror', p], cwd=ROOT, stderr=subprocess.DEVNULL).returncode != 0]
    print(f'clang-format would change {len(unformatted)} files')
    for path in unformatted:
        print(f'  {path}')


def main():
    if '--help' in sys.argv or '-h' in sys.argv:
        print(__doc__)
        return 0
    files = tracked_files()
    for path in files:
        if not path.endswith(SOURCE_ENDINGS + ('.py', '.sh', '.cmake')) and os.path.dirname(path) not in ('tools', '.ci'):
            continue
        if path.endswith(('.txt', '.md')):
            continue
        try:
            text = open(os.path.join(ROOT, path), encoding='utf-8').read()
        except UnicodeDecodeError:
            found(path, 1, 'encoding', 'is not UTF-8')
            continue
        if not any(SPDX in line for line in text.split('\n')[:3]):
            found(path, 1, 'licence', f'the first lines need "{SPDX}"')
        if path != 'tools/tidy.py':
            for number, line in enumerate(text.split('\n'), 1):
                if LEFTOVER.search(line):
                    found(path, number, 'leftover', line.strip()[:80])
                if line != line.rstrip():
                    found(path, number, 'blank', 'blanks at the end of the line')
        if path.endswith(SOURCE_ENDINGS):
            check_source(path, text)
    check_options_are_used(files)
    if '--format' in sys.argv:
        check_format(files)
    for line in findings:
        print(line)
    print(f'tidy: {len(files)} files, {len(findings)} findings')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
