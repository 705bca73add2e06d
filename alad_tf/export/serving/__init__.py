"""An export behind the REST and gRPC interfaces of TensorFlow Serving."""
