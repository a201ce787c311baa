"""What is to be built: options, target, recipe, layers, plan and lock. Decides; moves nothing."""
