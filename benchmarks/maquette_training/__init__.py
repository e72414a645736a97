"""How the maquette's weights are made: drawings, autoencoder, reader, text encoder, denoiser; one module a stage."""
