"""Which faults an exchange of ours has: a preset's name, or a TOML file with the same keys."""

import difflib
from collections.abc import Iterator

import msgspec

from btcbot.layers import NO_SUCH_USER, ConfigError, convert, expanded, merge, nest, read_file
from btcbot.simulation.faults import PRESETS, Profile


def profile_of(given: str) -> Profile:
    """Return the profile that `given` names. Raises ConfigError for none such, and for a bad file.

    What has no slash and no ".toml" is taken for a preset.
    """
    if given in PRESETS:
        return PRESETS[given]
    if "/" not in given and not given.endswith(".toml"):
        near = difflib.get_close_matches(given, PRESETS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        allowed = f"{', '.join(PRESETS)}, or the path of a TOML file"
        raise ConfigError(f"faults = {given!r}: allowed are {allowed}{hint}")
    path = expanded(given)
    if path is None:
        raise ConfigError(f"faults = {given!r}: {NO_SUCH_USER}")
    values, _ = merge([read_file(path)], Profile)
    try:
        found: Profile = convert(nest(values), Profile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from None
    return found


def problems(key: str, given: str) -> Iterator[str]:
    """Yield what is wrong with the setting `key`; a file is named whole, whoever reads it where."""
    if "/" in given and not given.startswith(("/", "~")):
        yield f"{key} = {given!r}: expected a preset, or a path from / or ~ on"
        return
    try:
        profile_of(given)
    except ConfigError as error:
        for problem in error.problems:
            yield f"{key} = {given!r}: {problem.removeprefix(f'faults = {given!r}: ')}"
