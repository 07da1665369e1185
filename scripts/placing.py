"""Placement and routing of a mapped netlist by nextpnr, seed by seed, and its refinement."""

import json
from functools import partial
from time import monotonic
from zipfile import ZIP_DEFLATED, ZipFile

from scripts.console import CheckFailed
from scripts.floorplan import RAM, read_sites
from scripts.refine import refine
from scripts.report import shortage
from scripts.resume import digest, is_current, keep_key

__all__ = ["Placer", "log_of"]


#: nextpnr's options for a file of pins, and for what a bitstream is packed from, by family.
_CONSTRAINTS = {"ecp5": "--lpf {}", "ice40": "--pcf {}", "nexus": "--pdc {}",
                "gowin": "--vopt cst={}"}
_BITS = {"ecp5": "--textcfg", "ice40": "--asc"}

#: How nextpnr is to place a design, by family. On ECP5 its placer by electrostatics keeps together
#: what belongs together better than its usual one, after which routing of the larger arrays did not
#: come to an end.
_PLACER = {"ecp5": ("--placer", "static")}

#: A round of refinement may route for this part of the time that placing and routing took, and for
#: so many seconds in any case. Most take a quarter; and some would never be done, since nets for
#: which there is but one way between fixed ones take it from each other.
_PATIENCE, _AT_LEAST = 0.4, 60


def log_of(directory, seed):
    """Return where nextpnr's log of a seed is."""
    return directory / f"nextpnr-{seed}.log"


class Placer:
    """Places and routes the ``netlist.json`` in a folder, and refines what comes out.

    Parameters
    ----------
    device, config, directory, toolchain, resume, board, rounds
        As for :func:`scripts.synth.synthesise`.
    asked : float
        MHz to ask nextpnr for.
    netlist_key, report_key : str
        What the netlist was made from, and what reports are, as :func:`scripts.resume.digest` has
        it.
    advance : callable
        Called for each seed that has been placed and routed, and for each round.
    """

    def __init__(self, device, config, directory, toolchain, *, asked, resume, board, rounds,
                 netlist_key, report_key, advance):
        self._device, self._config = device, config
        self._directory, self._toolchain = directory, toolchain
        self._resume, self._board, self._rounds = resume, board, rounds
        self._netlist_key, self._report_key = netlist_key, report_key
        self._advance = advance
        self._pins = board.constraints() if board else device.pins
        self._context = (
            _CONSTRAINTS[device.family].format("pins").split() if self._pins
            else ["--out-of-context"] if device.out_of_context else ["--pcf-allow-unconstrained"])
        self._common = [*device.place, *_PLACER.get(device.family, ()), *self._context,
                        "--json", "netlist.json"]
        self._asking = ["--freq", str(asked), "--timing-allow-fail"]

    def run(self, seeds, jobs):
        """Place and route with every seed whose report may not be kept, so many ``jobs`` at a time;
        return nextpnr's reports, or what refinement made of them.

        Raises
        ------
        CheckFailed
            If nextpnr fails, or the design does not fit.
        """
        if self._pins:
            (self._directory / "pins").write_text(self._pins, encoding="utf-8")
        self._pack()
        self._toolchain.run_all([partial(self._place, seed) for seed in seeds], jobs)
        return [json.loads(self._report(seed).read_text(encoding="utf-8")) for seed in seeds]

    def _report(self, seed):
        return self._directory / f"nextpnr-{seed}.json"

    def _explain(self, log):
        lacking = shortage(log)
        return lacking and f"{self._config.name} does not fit {self._device.name}: {lacking}"

    def _pack(self):
        """Find out whether the design fits: nextpnr looks for places for minutes, or for ever, even
        if there are not as many as cells."""
        log, arguments = self._directory / "pack.log", [*self._common, "--pack-only"]
        own = digest(self._netlist_key, self._pins, *arguments)
        if self._resume and is_current(log, own):
            return
        self._toolchain.run(self._device.router, arguments, log=log, explain=self._explain)
        reason = self._explain(log.read_text(encoding="utf-8"))
        if reason:
            raise CheckFailed(f"{reason}; log: {log}")
        keep_key(log, own)

    def _place(self, seed):
        """Place, route and refine with ``seed``, unless its report may be kept."""
        report, bits = self._report(seed), self._directory / f"nextpnr-{seed}.bits"
        arguments = [*self._common, "--seed", str(seed), *self._asking, "--report", report.name]
        if self._board:
            arguments += [_BITS[self._device.family], bits.name]
        own = digest(self._report_key, self._pins, str(self._rounds), *arguments)
        if self._resume and is_current(report, own) and (bits.exists() or not self._board):
            for _ in range(1 + self._rounds):
                self._advance()
            return
        report.unlink(missing_ok=True)
        if self._rounds:
            self._place_and_refine(seed, arguments)
        else:
            self._route(seed, arguments)
        keep_key(report, own)

    def _route(self, seed, arguments):
        """Place and route; return whether it came to an end."""
        done = self._toolchain.run(self._device.router, arguments,
                                   log=log_of(self._directory, seed), explain=self._explain)
        self._advance()
        return done

    def _place_and_refine(self, seed, arguments):
        """Place and route, or take what is kept of an earlier run, and refine it.

        The report becomes that of the best round, and there is none if all is being stopped.
        """
        report = self._report(seed)
        files = [self._directory / f"routed-{seed}.{ending}" for ending in ("json", "sdf")]
        writing = ["--write", files[0].name, "--sdf", files[1].name]
        kept = self._directory / f"placed-{seed}.zip"
        own = digest(self._netlist_key, self._pins, *arguments)
        if self._resume and is_current(kept, own):
            with ZipFile(kept) as archive:
                archive.extractall(self._directory)
                took = float(archive.comment)
            self._advance()
        else:
            begin = monotonic()
            if not self._route(seed, [*arguments, *writing]):
                return
            took = monotonic() - begin
            with ZipFile(kept, "w", ZIP_DEFLATED, compresslevel=1) as archive:
                archive.comment = f"{took:.1f}".encode()
                for path in (report, *files):
                    archive.write(path, path.name)
            keep_key(kept, own)
        routing = [*self._device.place, *self._context, "--no-pack", "--json", files[0].name,
                   *writing]
        found = json.loads(report.read_text(encoding="utf-8"))
        report.unlink()
        if len(found["fmax"]) == 1:
            found = refine(found, files, advance=self._advance, rounds=self._rounds,
                           rams=read_sites(self._directory)[RAM],
                           route=partial(self._toolchain.run, self._device.router, routing,
                                         log=self._directory / f"refine-{seed}.log",
                                         limit=max(took * _PATIENCE, _AT_LEAST)))
        if found:
            report.write_text(json.dumps(found), encoding="utf-8")
        for path in files:
            path.unlink(missing_ok=True)
