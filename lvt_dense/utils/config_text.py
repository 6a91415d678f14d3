"""Whether the text of a config does nothing but name values."""

import ast

# What mmengine writes values with that are no literals.
_CALLS = ('dict', 'set', 'float')


def find_code(text: object) -> str | None:
    """Find what of a config's text is more than names and their values.

    MMEngine executes the text, after it has filled in what stands in double
    braces and read the file that ``_base_`` names.

    Args:
        text: The text, as a training writes it into checkpoints.

    Returns:
        The first such part; None if there is none.
    """
    if not isinstance(text, str):
        return f'a {type(text).__name__}'
    if '{{' in text:
        return 'a substitution in double braces'
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 'text that does not parse'
    try:
        return next(filter(None, map(_code_of, tree.body)), None)
    except RecursionError:
        return 'values that are nested too deeply'


def _code_of(statement: ast.stmt) -> str | None:
    if not isinstance(statement, ast.Assign):
        return _describe(statement)
    for target in statement.targets:
        if not isinstance(target, ast.Name):
            return _describe(statement)
        name = target.id
        if name in _CALLS or name.startswith('__') or name == '_base_':
            return f'a value for {name}'
    return _code_in(statement.value)


def _code_in(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return None
    parts: list[ast.expr]
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        parts = node.elts
    elif isinstance(node, ast.Dict) and None not in node.keys:
        parts = [*filter(None, node.keys), *node.values]
    elif isinstance(node, ast.UnaryOp) and isinstance(
        node.op, (ast.USub, ast.UAdd)
    ):
        parts = [node.operand]
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in _CALLS
        and all(word.arg for word in node.keywords)
    ):
        parts = [*node.args, *(word.value for word in node.keywords)]
    else:
        return _describe(node)
    return next(filter(None, map(_code_in, parts)), None)


def _describe(node: ast.AST) -> str:
    text = ' '.join(ast.unparse(node).split())
    return text if len(text) <= 60 else f'{text[:57]}...'
