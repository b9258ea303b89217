"""What is kept of a judged model of rows beside the model itself: statistics, findings, evaluation, one page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from schemas.feed import Feed
from streamscore.registry.provenance import Provenance
from streamscore.statistics.profiles import Profile, bars, profiles_to_json
from training.data.split import FITTED, Split
from training.evaluation.evaluate import Evaluation
from training.evaluation.gate import Verdict
from training.evaluation.production import PROFILE_FILE, Production
from training.evaluation.report import Cell, Section, html_report
from training.fitting.tune import Tuned
from training.settings import Estimator
from training.validation.findings import Findings


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """All that was found on the way to a candidate.

    Attributes:
        profiles: statistics of the fitted and of the held-out rows, by the name of the part.
        before: the version in Production; None if there is none.
        production: how good that is on the held-out rows; None where it is not compared.
        pictures: name → SVG.
    """

    estimator: Estimator
    tuned: Tuned | None
    parts: Split
    profiles: dict[str, Profile]
    findings: Findings
    before: Production | None
    evaluation: Evaluation
    production: Evaluation | None
    verdict: Verdict
    pictures: Mapping[str, str]

    def artifacts(self, feed: Feed, origin: Provenance) -> dict[str, str]:
        """The text files of the run, by name."""
        return {
            PROFILE_FILE: profiles_to_json(self.profiles),
            "findings.json": self.findings.to_json(),
            "evaluation.json": self.evaluation.to_json(),
            "report.html": html_report(feed.name, self.verdict.passed, self._facts(origin), list(self._sections())),
            **{f"{name}.svg": picture for name, picture in self.pictures.items()},
        }

    def _facts(self, origin: Provenance) -> dict[str, str]:
        parameters = (f"{name} {value}" for name, value in self.estimator.parameters.items())
        facts = {
            "data": f"{origin.data_source}, {origin.data_rows:,} rows, sha256 {origin.data_digest[:12]}…",
            "rows": f"{self.parts.fitted.rows:,} fitted, {self.parts.held_out.rows:,} held out",
            "model": ", ".join([self.estimator.name, *parameters]),
            "code": origin.code_version,
            "held against": self.before.ref.title if self.production and self.before else "no Production model",
        }
        if tuned := self.tuned:
            facts["tuned"] = f"{tuned.trials} trials, {tuned.pruned} given up early; {tuned.metric} {tuned.value:.4g}"
        return facts

    def _sections(self) -> Iterator[Section]:
        checks = [(check.name, check.passed, check.detail) for check in self.verdict.checks]
        yield Section("Gate", "", ("check", "passed", "found"), checks)
        yield Section(
            "Held-out rows",
            "Intervals are 95 %, by bootstrap; the baseline always answers the mean, or the frequencies of the labels.",
            ("metric", "candidate", "interval", "baseline", "Production"),
            list(self._metrics()),
        )
        if slices := self.evaluation.slices:
            names = list(self.evaluation.metrics)
            rows = [(s.column, s.value, s.rows, *(s.metrics.get(name) for name in names)) for s in slices]
            yield Section("Slices", "", ("column", "value", "rows", *names), rows)
        yield Section("Pictures", pictures=list(self.pictures.values()))
        yield Section(
            "Data",
            "" if self.findings.items else "No finding.",
            ("level", "check", "column", "rows", "found", "wanted"),
            [(f.level, f.check, f.column, f.split, f.found, f.wanted) for f in self.findings.items],
        )
        yield Section(
            "Statistics of the fitted rows",
            "",
            ("column", "nulls", "distinct", "lowest", "mean", "highest", "deviation", "histogram"),
            [
                (c.name, c.nulls, c.distinct, c.min, c.mean, c.max, c.std, bars(c))
                for c in self.profiles[FITTED].columns
            ],
        )

    def _metrics(self) -> Iterator[tuple[Cell, ...]]:
        before = self.production.metrics if self.production else {}
        for name, value in self.evaluation.metrics.items():
            between = self.evaluation.intervals.get(name)
            interval = f"{between.low:.4g} to {between.high:.4g}" if between else ""
            yield name, value, interval, self.evaluation.baseline.get(name), before.get(name)
