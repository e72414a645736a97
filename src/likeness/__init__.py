"""likeness: pictures of one character in, a LoRA that keeps its likeness out.

The three names that a program needs: `likeness.workspace.Workspace`, `likeness.recipe.Recipe`, `likeness.pipeline.run`.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
