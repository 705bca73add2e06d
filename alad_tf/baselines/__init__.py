"""The paper's rivals of ALAD, behind the same contract: a higher score is more anomalous."""
