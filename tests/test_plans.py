import numpy as np

from samovar.grid import Frame, Grid
from samovar.plans import plan_slices


def test_a_generator_sees_every_slice_once():
    steps = plan_slices(Grid((4, 8, 8), np.eye(4), Frame.lps()), 0)
    assert [s.view.key for s in steps] == ["z0", "z1", "z2", "z3"]
    assert all(s.objects is None for s in steps)
