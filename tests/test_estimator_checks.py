"""ALADDetector passes scikit-learn's checks of estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from alad_tf import ALADDetector


@parametrize_with_checks([ALADDetector(steps=10, n_members=1)])
def test_scikit_learns_contract(estimator, check):
    check(estimator)
