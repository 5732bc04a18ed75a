"""Power switches, cables and init systems of a run by the reference clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hacore.manager.documents import RELEASE_MODES, SETTINGS, LrmStatus, Settings, Status, dump, lrm_key, parse
from hacore.manager.jobs import Duty

if TYPE_CHECKING:
    from hacore.sim.clockwork import Clockwork, Slot


class ClockSwitches:
    """What a scenario's commands do to nodes and daemons."""

    def __init__(self, run: Clockwork) -> None:
        self.run = run

    def power(self, node: str, *, on: bool) -> None:
        self.run.hardware.power(node, on=on)

    def network(self, node: str, *, on: bool) -> None:
        self.run.hardware.machines[node].connected = on

    def file_system(self, node: str, what: str, *, works: bool) -> None:
        setattr(self.run.hardware.machines[node], {"rw": "readable", "update": "current"}[what], works)

    def skip_rounds(self, kind: str, rounds: int) -> None:
        self.run.skipped[kind] = rounds

    def end(self, node: str, how: str) -> None:
        self.run.hardware.machines[node].ending = how
        self._ask(self.run.slots[node]["lrm"], how)

    def restart_lrm(self, node: str) -> None:
        self._ask(self.run.slots[node]["lrm"], "restart")

    def stop_crm(self, node: str) -> None:
        self.run.slots[node]["crm"].asked.add("shutdown")

    def start_crm(self, node: str) -> None:
        crm = self.run.slots[node]["crm"]
        if crm.daemon is None:
            self.run.start(crm)

    def _ask(self, lrm: Slot, word: str) -> None:
        """The LRM hears of it, and publishes its mode at once: the reference's does so on the signal itself."""
        if lrm.daemon is None or lrm.asked:
            return
        lrm.asked.add(word)
        if not self.run.hardware.reaches_documents(lrm.node):
            return
        store = self.run.hardware.store
        settings = parse(store[SETTINGS], Settings, SETTINGS, Settings())
        own = parse(store[lrm_key(lrm.node)], LrmStatus, lrm_key(lrm.node), LrmStatus())
        duty = Duty(lrm.node, Status(), {}, own, settings)
        if own.mode == "maintenance" or (word != "restart" and settings.shutdown_policy == "migrate"):
            mode = "maintenance"
        else:
            mode = "restart" if word == "restart" or duty.policy_freezes({word}) else "shutdown"
        said = LrmStatus(mode, own.generation + (mode in RELEASE_MODES), own.results)
        self.run.hardware.write(lrm_key(lrm.node), dump(said))
