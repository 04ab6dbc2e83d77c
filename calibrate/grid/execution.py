"""Fit the points of a grid in this process or in several, until all are finished."""

from dataclasses import dataclass

from clip_cfr.calibrate.grid.grid_plan import GridPlan
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.processes import run_processes
from clip_cfr.calibrate.grid.progress import report_progress
from clip_cfr.calibrate.grid.study import open_searches
from clip_cfr.calibrate.grid.trials import point_results
from clip_cfr.calibrate.grid.worker import LoadTask, all_finished, run_worker


@dataclass(frozen=True)
class FinishedPoints:
    """The finished points of a grid, in the order of their indices.

    Attributes:
        points: those of all methods, method after method.
        references: zero-shot and ERM at the fixed settings.
        studies: the name of the Optuna study by method.
    """

    points: tuple[PointResult, ...]
    references: tuple[PointResult, ...]
    studies: dict[str, str]


def fit_plan(
    plan: GridPlan, url: str, name: str, *, load: LoadTask, workers: int
) -> FinishedPoints:
    """Fit the points of a grid that are not finished, and return all finished points.

    Progress is reported on standard error. With all points finished the task is not opened.

    Args:
        plan: the plans of the grid.
        url: the storage.
        name: the name of the grid in the storage.
        load: opens the task; called once in every process that fits points.
        workers: number of processes; 1 fits in this one.

    Raises:
        CalibrationError: the storage holds other results, the task cannot be used, or no process is
            left to finish the grid.
    """
    with open_searches(url, name, plan) as searches:
        with report_progress(searches) as reporter:
            if workers == 1:
                run_worker(searches.all, load, reporter.update)
            elif not all_finished(searches.all):
                run_processes(plan, url, name, load=load, workers=workers, reporter=reporter)
        return FinishedPoints(
            points=tuple(point for each in searches.methods for point in point_results(each)),
            references=tuple(
                point for each in searches.references for point in point_results(each)
            ),
            studies={each.plan.method: each.study.study_name for each in searches.methods},
        )
