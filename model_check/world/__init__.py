"""The closed model: the tables of all daemons, the store and the devices they act on, and what may happen to them.

Every step of a daemon is a row of its table: the guard, the target, the actions and what the store is asked to check
come from there (:mod:`model_check.world.rows`). Written here is what a table leaves to its readers: what facts and
actions mean, and how the world behaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hacore.protocol.table import Table
from hacore.protocol.tables import TABLES
from model_check.lang import Field, Model, Premise
from model_check.world import worker
from model_check.world.crm import CrmReader
from model_check.world.environment import Environment
from model_check.world.fields import Dimensions, fields
from model_check.world.lrm import LrmReader
from model_check.world.records import Records
from model_check.world.rows import add_rows
from model_check.world.slices import Slice
from model_check.world.spells import Spells

READ = ("lrm", "crm", "service", "node", "disarm", "worker")
"""The tables that the model is made from."""


def world(
    slice_: Slice,
    tables: Mapping[str, Table] = TABLES,
    versions: Sequence[Mapping[str, Table]] = (),
    make: Callable[[str, list[Field]], Model] = Model,
) -> Model:
    """The model of one slice, over the given tables. Its fields know the states of all ``versions``, if there are
    several. ``make`` makes the model, as yet without actions."""
    dims = Dimensions.of(slice_)
    spells = Spells(dims, slice_, frozenset(row.id for row in tables["service"].rows if row.target == "fence"))
    model = make(slice_.name, [*fields(dims, slice_, *(versions or (tables,))), *spells.fields()])
    model.premises.append(Premise((dims.lock,), (dims.watchdog, dims.reset)))
    records = Records(dims, slice_, spells, tables)
    for reader in (
        LrmReader(dims, slice_, spells).reader(),
        worker.reader(dims, slice_),
        CrmReader(dims, slice_, spells, records).reader(),
    ):
        add_rows(model, reader, tables[reader.table])
    Environment(model, dims, slice_, spells).add_all()
    return model
