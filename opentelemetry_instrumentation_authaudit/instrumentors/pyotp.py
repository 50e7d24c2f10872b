from ..hooks import Hook

HOOKS: tuple[Hook, ...] = ()
BLIND: tuple[str, ...] = ()
