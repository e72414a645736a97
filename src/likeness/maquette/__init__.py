"""The embedded world: characters drawn by code, and the weights of a small Stable Diffusion that knows them."""
