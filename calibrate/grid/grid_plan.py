"""The plans of a grid: one for each method and each reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.plan import PRUNABLE_METHOD, Plan, short_digest
from clip_cfr.calibrate.grid.space import Space, restrict_space

# Methods that every grid is compared with, at its fixed settings.
REFERENCE_METHODS = ("zeroshot", "erm")
METHOD_OF = itemgetter("method")


@dataclass(frozen=True)
class GridPlan:
    """The plans of a grid.

    Attributes:
        methods: one plan for each method whose points are ranked.
        references: plans of one point each, at the fixed settings.
    """

    methods: tuple[Plan, ...]
    references: tuple[Plan, ...] = ()

    @property
    def digest(self) -> str:
        """Eight hex digits of a digest of all methods' identities, whatever their order."""
        if len(self.methods) == 1:
            return self.methods[0].digest
        return short_digest(sorted((plan.identity for plan in self.methods), key=METHOD_OF))

    @property
    def legacy_digest(self) -> str:
        """The digest that earlier versions gave to a grid of one method; otherwise `digest`."""
        return self.methods[0].legacy_digest if len(self.methods) == 1 else self.digest


def make_grid_plan(
    space: Space,
    fixed: Settings,
    *,
    cache_digest: str,
    seeds: Sequence[int],
    methods: Sequence[str] = (PRUNABLE_METHOD,),
    sampler: str = "grid",
    trials: int | None = None,
    prune: bool = False,
    resident_rows: int | None = None,
    prompts: str | None = None,
    named: Mapping[str, Any] | None = None,
) -> GridPlan:
    """Return the plans of the methods and of the references (`REFERENCE_METHODS`).

    Each method varies the settings of the space that it depends on; a method that depends on none
    of them has one point. Only `cfr` is pruned. A repeated method has one plan. Arguments are those
    of `Plan`.

    Raises:
        SettingsError: the arguments contradict each other.
    """
    if prune and PRUNABLE_METHOD not in methods:
        raise SettingsError(
            f"--prune works with {PRUNABLE_METHOD} only, not with {', '.join(methods)}; "
            "leave it out"
        )
    whole = Plan(
        cache_digest=cache_digest,
        space=space,
        fixed=fixed,
        seeds=tuple(seeds),
        sampler=sampler,
        trials=trials,
        resident_rows=resident_rows,
        prompts=prompts,
        named=named,
    )
    return GridPlan(
        methods=tuple(restrict_plan(whole, method, prune) for method in dict.fromkeys(methods)),
        references=tuple(make_reference(whole, method) for method in REFERENCE_METHODS),
    )


def restrict_plan(plan: Plan, method: str, prune: bool) -> Plan:
    """Return the plan of one method of a grid, with the axes that the method depends on.

    Args:
        plan: plan with all axes of the grid; it is not changed.
        method: the method.
        prune: whether points of `cfr` are pruned.

    Returns:
        The plan; with one point if the method depends on no axis.
    """
    space = restrict_space(plan.space, method)
    restricted = replace(
        plan, space=space, method=method, prune=prune and method == PRUNABLE_METHOD
    )
    return restricted if space else replace(restricted, sampler="grid", trials=None)


def make_reference(plan: Plan, method: str) -> Plan:
    """Return the plan of a reference: one point, at the fixed settings of the grid."""
    return replace(plan, space={}, method=method, sampler="grid", trials=None, is_reference=True)
