"""Red, green and blue change places, in some images, and nothing else happens."""

import pytest
import torch

from gantutor.methods.common_space import shuffled_colours


def test_shuffled_colours_only_change_places():
    images = torch.rand(300, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    shuffled = shuffled_colours(images, 0.5)
    assert torch.equal(images, before)
    torch.testing.assert_close(shuffled.sort(1).values, images.sort(1).values)
    moved = (shuffled != images).flatten(1).any(1).float().mean()
    assert moved == pytest.approx(0.5 * 5 / 6, abs=0.1)
    assert torch.equal(shuffled_colours(images, 0.0), images)
    orders = {tuple(a.mean((1, 2)).argsort().argsort().tolist()) for a in
              shuffled_colours(images[:1].expand(200, -1, -1, -1), 1.0)}
    assert len(orders) == 6
