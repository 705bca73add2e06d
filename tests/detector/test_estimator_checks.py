"""ALADDetector passes scikit-learn's checks of estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from alad_tf import ALADDetector


# One size of batch for all tables: the checks' ten architectures become seven to compile. What
# follows from the number of rows is in `test_estimator` and `test_rules`.
@parametrize_with_checks([ALADDetector(steps=10, n_members=1, batch_size=8)])
def test_scikit_learns_contract(estimator, check):
    check(estimator)
