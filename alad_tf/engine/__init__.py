"""What makes a Keras model train and score fast and exactly: it knows no method and no data."""
