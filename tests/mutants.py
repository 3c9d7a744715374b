"""Changes of the package that a test must notice: `pytest --mutants tests/mutants.py` proves it.

A row: a file of the package, its text, another text, the test that must then fail. Each row changes
a copy of the package and runs that test there. The rows are what one test alone, or few, look at.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPACE, SPACES = "methods/common_space.py", "methods/test_common_space.py"
VAEGAN = f"{SPACES}::test_every_term_of_the_vae_gan_has_its_sign_and_its_weight"
SAMPLES = f"{SPACES}::test_D_z_judges_samples_in_both_players_steps"
ROW = "test_recipes.py::test_a_row_says_what_the_course_says"
TRAINING = "test_training.py::test"
RANDOM = "test_saving.py::test_the_random_state_is_that_of_torch_numpy_and_python"
UNDONE = f"{TRAINING}_whatever_fails_in_a_step_the_last_whole_step_is_saved"
REFUSED = "test_state.py::test_another_method_is_refused_and_named"
MUTANTS = [
    # VAEGAN: signs, weights, detach, noise
    (SPACE, "gan = wgan_generator_loss(self.D(drawn))", "gan = -wgan_generator_loss(self.D(drawn))",
     VAEGAN),
    (SPACE, "total + self.lambda_gan * gan, parts", "total + gan, parts", VAEGAN),
    (SPACE, "kl = kl_loss(mu)\n", "kl = -kl_loss(mu)\n", VAEGAN),
    (SPACE, "wgan_discriminator_loss(self.D(real), self.D(fake))",
     "wgan_discriminator_loss(self.D(fake), self.D(real))", VAEGAN),
    (SPACE, "return critic + self.lambda_gp * penalty, d", "return critic + penalty, d", VAEGAN),
    (SPACE, "rec = cycle_consistency_loss(x, drawn)\n",
     "rec = 0.01 * cycle_consistency_loss(x, drawn)\n", VAEGAN),
    (SPACE, "drawn = self.G(self.code(mu))", "drawn = self.G(mu)", VAEGAN),
    ("methods/__init__.py", "return batch[name].detach()", "return batch[name]", VAEGAN),
    # the common space
    (SPACE, 'z_x, z_y = self.code(self.E_x(batch["x"])), self.code(self.E_y(batch["y"]))',
     'z_x, z_y = self.E_x(batch["x"]), self.E_y(batch["y"])', SAMPLES),
    (SPACE, 'self.domain_loss(batch["z_x"], batch["z_y"])',
     'self.domain_loss(batch["mu_x"], batch["mu_y"])', SAMPLES),
    (SPACE, "return total + dom, parts", "return total + weight * dom, parts",
     f"{SPACES}::test_weight_and_ramp_turn_the_encoders_gradient_and_leave_D_z_its_own_rate"),
    (SPACE, 'lambda: self.G_y(self.code(self.E_x(batch["x"])))',
     'lambda: self.translate(batch["x"])',
     f"{SPACES}::test_where_the_encoders_sit_out_D_y_judges_translations_of_samples"),
    # the ceiling's way back; losses in half precision
    ("methods/supervised.py", 'self.G_yx(batch["y"])', 'self.G_yx(batch["x"])',
     "methods/test_supervised.py"),
    ("losses.py", "fake_scores.float().mean() - real_scores", "fake_scores.mean() - real_scores",
     "test_losses.py::test_half_precision_scores_give_the_float32_mean"),
    # recipes and ladder
    ("recipes.py", "lambda_idt=0.5", "lambda_idt=0.0", f"{ROW}[retro_identity]"),
    ("recipes.py", '"monochromes_hider": monochromes(lambda: DualGAN(Pixel(), Pixel(), D(), D(), '
     'lambda_rec=3.0)', '"monochromes_hider": monochromes(lambda: DualGAN(Pixel(), Pixel(), D(), '
     'D(), lambda_rec=30.0)', f"{ROW}[monochromes_hider]"),
    ("recipes.py", "lambda_rec=0.0", "lambda_rec=1.0", f"{ROW}[monochromes_nocycle]"),
    ("recipes.py", "noise=16 / 256", "noise=0.0", f"{ROW}[monochromes_defended]"),
    ("recipes.py", '"lambda_gan": 1.0', '"lambda_gan": 0.0', f"{ROW}[avatars_remedies]"),
    ("recipes.py", '"lambda_cyc": 5.0', '"lambda_cyc": 0.5', f"{ROW}[avatars_remedies]"),
    ("recipes.py", "D(group=4), pool_size=0)", "D(group=1), pool_size=0)",
     "test_recipes.py::test_D_sees_groups_of_four_where_a_generator_could_collapse"),
    ("recipes.py", 'REMEDIES), 4000,\n                                precision="auto")',
     "REMEDIES), 4000)", f"{ROW}[avatars_remedies]"),
    ("recipes.py", 'D_Z_PLAYS = {"n_critic": 2, "decay_d": False}', "D_Z_PLAYS = {}",
     "test_ladder.py::test_only_where_codes_are_aligned_D_z_plays_twice_and_keeps_its_rate"),
    ("recipes.py", "(INK, TextureDiscriminator,", "(INK, D,",
     "test_recipes.py::test_D_sees_coordinates_where_Y_has_darker_corners"),
    ("recipes.py", "pack.split(TUNING).on_validation()", "pack.split(TUNING)",
     "test_ladder.py::test_weights_are_chosen_on_validation_in_a_split_of_their_own"),
    ("recipes.py", "here = pack.split(seed)", "here = pack",
     "test_recipes.py::test_the_seed_of_a_run_on_photographs_is_its_split"),
    ("recipes.py", "panel(method.translate, pack.split(seed),", "panel(method.translate, pack,",
     "test_recipes.py::test_the_seed_of_a_run_on_photographs_is_its_split"),
    # data and judges
    ("data/changes.py", "* (1 - 0.85 * pen)", "* (1 - 0.75 * pen)",
     "data/test_changes.py::test_ink_is_the_whole_process_in_numpy"),
    ("data/changes.py", "rgb + strength * (slide - rgb)", "rgb + (slide - rgb)",
     "data/test_changes.py::test_the_dial_is_a_straight_line_through_the_photograph_and_its_retro_"
     "version"),
    ("data/photographs.py", "sorted(order[5:].tolist())", "order[5:].tolist()",
     "data/test_photographs.py::test_the_splits_of_the_course_are_the_documented_ones"),
    ("data/photographs.py", "rng.uniform(0.45, 1.0)", "rng.uniform(0.6, 1.0)", "data/"
     "test_photographs.py::test_a_crop_is_most_of_a_photograph_each_has_its_turn_and_half_are_"
     "mirrored"),
    ("data/packs.py", "self.divide(number).on_validation()", "self.divide(number)",
     "data/test_photographs.py::test_a_pack_on_validation_asks_nothing_of_the_test_photographs"),
    ("evaluate/metrics.py", "by_chance = (k - 1) ** 2 / (n - 1)", "by_chance = 0 * n",
     "evaluate/test_metrics.py::test_cramers_v_by_hand"),
    ("evaluate/references.py", "back @ _power(root @ y_cov @ root, 0.5) @ back",
     "_power(y_cov, 0.5) @ back",
     "evaluate/test_references.py::test_colour_map_is_symmetric_and_positive_so_it_moves_colours_"
     "least"),
    ("evaluate/two_sample.py", "_area(a[half], b[half], a[~half], b[~half], ridge)",
     "_area(a[half], b[half], a[half], b[half], ridge)",
     "evaluate/test_two_sample.py::test_it_is_tested_on_other_images_than_it_was_trained_on"),
    ("data/avatars.py", 'colour, others = sheet("train_x", size).chunk(2)',
     'colour = others = sheet("train_x", size)[:1250]',
     "data/test_avatars.py::test_monochromes_are_made_of_other_faces_than_x"),
    ("data/batches.py", '"x": self._mirrored(images), "code"', '"x": images, "code"',
     "data/test_batches.py::test_labelled_images_are_mirrored_where_that_is_asked_for"),
    ("data/packs.py", "torch.cat([blend[: n // 2], tinted(y, generator)[n // 2:]])",
     "tinted(y, generator)",
     "data/test_packs.py::test_judges_are_trained_on_blends"),
    # pictures and tables
    ("show.py", "(max(values) - min(values)) / 2", "(max(values) - min(values))",
     "test_show.py::test_several_seeds_are_their_mean_and_half_their_range"),
    ("show.py", "if self.truth is not None:", "if False:",
     "test_show.py::test_a_preview_shows_input_translation_and_the_truth_that_only_the_reader_sees"),
    # what a state restores
    ("state.py", 'self.scalers[player].load_state_dict(state["scalers"][player])', "pass",
     f"{TRAINING}_float16_resumes_bit_for_bit_with_its_scales_and_skips"),
    ("saving.py", 'np.random.set_state(state["numpy"])', "pass", RANDOM),
    ("saving.py", 'random.setstate(state["python"])', "pass", RANDOM),
    ("saving.py", 'torch.set_rng_state(state["torch"])', "pass", RANDOM),
    ("state.py", 'set_random_state(state["random"])', "pass",
     f"{TRAINING}_the_random_numbers_of_numpy_and_python_go_on_after_a_resume"),
    # whose state it is
    ("state.py", '{"frozen": frozen}', "{}", REFUSED),
    ("saving.py", "{settings_of(module)}", "", REFUSED),
    # half a step is undone, what is frozen stays so
    ("state.py", '("method", "optimisers")}', '("method",)}', UNDONE),
    ("state.py", '("method", "optimisers")}', '("optimisers",)}', UNDONE),
    ("state.py", ' | {"data": copy.deepcopy(state["data"])}', "",
     f"{TRAINING}_a_run_whose_batches_change_in_place_is_undone"),
    ("training.py", "if run.half:", "if False:", UNDONE),
    ("training.py", "with signals_wait(PATIENCE):", "with signals_wait():",
     f"{TRAINING}_a_second_ctrl_c_gets_through_and_further_ones_do_no_harm"),
    ("training.py", "if parameters and not any(p.requires_grad for p in parameters):", "if False:",
     f"{TRAINING}_a_network_that_is_frozen_as_a_whole_stays_in_eval_mode"),
    ("methods/__init__.py", "self.eval()", "pass", "methods/test_methods.py::"
     "test_a_fixed_network_is_in_eval_mode_from_construction_on_and_stays"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A folder with the package, its tests, and links to what they read."""
    folder = tmp_path_factory.mktemp("mutants")
    for name in ("gantutor", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("data", "notebooks", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def run(folder, *tests):
    """The exit status and the end of the output of those tests on the copy."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-qx", "-n0", "-p", "no:cacheprovider",
         *(f"tests/{test}" for test in tests)],
        cwd=folder, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True)
    return found.returncode, found.stdout.decode()[-2000:]


def test_without_a_change_they_all_pass(copy):
    status, output = run(copy, *dict.fromkeys(test for *_, test in MUTANTS))
    assert status == 0, output


@pytest.mark.parametrize("row", MUTANTS, ids=lambda row: f"{row[0]}: {row[2].strip()[:40]}")
def test_it_is_noticed(copy, row):
    name, before, after, test = row
    path = copy / "gantutor" / name
    source = path.read_text(encoding="utf-8")
    assert before in source, f"{name} has changed: write the row anew"
    path.write_text(source.replace(before, after, 1), encoding="utf-8")
    try:
        status, output = run(copy, test)
    finally:
        path.write_text(source, encoding="utf-8")
    assert status == 1, output  # 1: a test failed, and nothing else went wrong
