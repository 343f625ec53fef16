"""The tables of each part of a report, in their order."""

from __future__ import annotations

from pathlib import Path

from headstart.report.analysis.adaptation_comparison import AdaptationSection
from headstart.report.analysis.study_records import Study, StudySection
from headstart.report.rendering.tables.adaptation_tables import class_table, method_table, oracle_table
from headstart.report.rendering.tables.cost_tables import cost_table, speedup_table, throughput_table
from headstart.report.rendering.tables.forgetting_table import forgetting_table
from headstart.report.rendering.tables.measure_tables import (
    label_table,
    measure_table,
    named_test_table,
    test_table,
)
from headstart.report.rendering.tables.run_tables import (
    adaptation_run_table,
    left_out_table,
    level_run_table,
    run_table,
)
from headstart.report.rendering.tables.settings_tables import settings_table, source_table
from headstart.report.rendering.tables.swept_key_tables import level_table
from headstart.report.rendering.tables.table_cells import ReportTable
from headstart.report.rendering.tables.tuning_table import tuning_table


def section_tables(section: StudySection, study: Study) -> list[ReportTable]:
    """The tables of a section below its verdicts."""
    return _existing(
        measure_table(section, study),
        speedup_table(section),
        tuning_table(section),
        label_table(section),
        test_table(section),
        forgetting_table(section),
        named_test_table(section, study),
        cost_table(section, study),
        throughput_table(section),
    )


def method_tables(section: AdaptationSection) -> list[ReportTable]:
    """The tables of a section of adaptation methods."""
    return _existing(method_table(section), class_table(section), oracle_table(section))


def closing_tables(study: Study, folder: Path | None = None) -> list[ReportTable]:
    """The tables of the whole study.

    Args:
        study: The comparison.
        folder: That links are relative to, of a page, which lists runs with a curve itself; None: no links, all runs.
    """
    return _existing(
        level_table(study),
        settings_table(study),
        source_table(study),
        run_table(study) if folder is None else None,
        adaptation_run_table(study, folder),
        level_run_table(study, folder),
        left_out_table(study, folder),
    )


def _existing(*tables: ReportTable | None) -> list[ReportTable]:
    return [table for table in tables if table is not None]
