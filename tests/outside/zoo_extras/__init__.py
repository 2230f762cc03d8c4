"""A third-party package: one model, one dataset, one recipe, registered with kzoo."""

import kzoo

kzoo.register_model("extras-small", "zoo_extras.nets:small", classes=4, input_shape=(12, 12, 1))
kzoo.register_dataset("stripes", "zoo_extras.stripes:load", class_names=("across", "along", "dark", "light"))
kzoo.register_recipe(kzoo.Recipe("extras/stripes", model="extras-small", dataset="stripes", epochs=3, batch_size=20))
