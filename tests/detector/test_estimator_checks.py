"""ALADDetector passes scikit-learn's checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from alad_tf import ALADDetector

# One size of batch for all tables: the checks' ten architectures become seven to compile. What
# follows from the number of rows is in `test_estimator` and `test_rules`.
ESTIMATOR = ALADDetector(steps=10, n_members=1, batch_size=8)
# those that fit many times; others of their kind are quick
SLOW = (
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimators_dtypes",
    "check_estimators_pickle",
    "check_fit2d_1feature",
    "check_fit_score_takes_y",
)


def _name(check):
    return getattr(check, "func", check).__name__


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=_name(check), marks=pytest.mark.slow if _name(check) in SLOW else ())
        for _, check in estimator_checks_generator(ESTIMATOR)
    ],
)
def test_scikit_learns_contract(check):
    check(ESTIMATOR)
