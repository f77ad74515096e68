"""Words of the start page."""

from __future__ import annotations

from vitviz.ui.text.sentences import computed, definition, instruction

TITLE = instruction("Start")
HEADING = instruction("How a Vision Transformer reads a photograph")
PYTHON = instruction("The same in Python")

NO_POSITIONS = definition("No position is added to the patches of this model.")
OWN_ALT = definition("Your own photograph.")
OUTSIDE = definition("not among the classes of the embedded model")

# What the figure says. {names} are filled in the browser from the numbers on the screen.
JOURNEY = instruction(
    {
        "photo_title": "Photograph",
        "line_title": "Its patches, in a row",
        "heads_title": "Layer {layer}, head by head",
        "answer_title": "The answer",
        "answer_waits": "All layers have run. One step further is the answer.",
        "answer_empty": "There is nothing to read before the layers have run.",
        "features_title": "The features",
        "layers_title": "The layers",
        "layers_heading": "Where {token} looks, layer by layer",
        "layers_heading_short": "Where {token} looks",
        "patch_short": "row {row}, column {col}",
        "gallery": "Choose a photograph",
        "upload": "your photo",
        "camera": "camera",
        "upload_failed": "This photograph could not be taken: {reason}.",
        "hide_title": "Hide",
        "brush": "with a brush",
        "hide_object": "the object",
        "hide_rest": "the background",
        "hide_none": "nothing",
        "play": "Play",
        "pause": "Pause",
        "again_play": "Play again",
        "step": "Step",
        "step_back": "One step back",
        "scrub": "Where the figure stands",
        "speed": "Speed",
        "open": "{page} ›",
        "cell_patches": "patches",
        "cell_positions": "positions",
        "layer": "layer {layer}",
        "finished": "all layers have run",
        "legend_low": "{share}",
        "legend_high": "≥ {share}",
        "photo_label": "{alt} Arrow keys choose a patch, Enter holds it, Escape lets go.",
        "patch": "the patch in row {row}, column {col}",
        "cls": "the class token",
        "dist": "the distillation token",
        "register": "register {index}",
        "head": "Head {head}",
        "mean": "the mean of the heads",
        "tokens": "Prefix tokens",
        "failed": "{what} could not be fetched ({reason}).",
        "again": "Try again",
        "missing_picture": "The photograph",
        "missing_numbers": "Layer {layer}",
        "missing_part": "A part of this page",
        "reason_network": "no connection",
        "reason_gone": "its time is over",
        "reason_server": "the server answered {status}",
        "reason_damaged": "what came is not readable",
    }
) | computed(
    {
        "answer_after": "After layer {layer}",
        "features_note": "This model has no classifier. It ends with features, which other programs read.",
        "untrained_note": "This model's weights are random. It has learned nothing, so there is no answer to read.",
        "caption_layer": "Layer {layer}: {token} takes more from {target} ({share}) than from any other patch.",
        "caption_itself": "Layer {layer}: {token} takes more from itself ({share}) than from any other patch.",
        "caption_target": "Layer {layer}: {token} takes {share} from {target}.",
        "caption_loading": "The numbers of layer {layer} are loading.",
        "caption_missing": "The numbers of layer {layer} did not come. The other layers are shown.",
        "caption_answer": "After {layers} layers the answer is {name}, {value}. Hide a part and see whether it stays.",
        "caption_doubt": "After {layers} layers, {name} comes first with {value}. The photograph may show none of the classes that the model knows.",
        "caption_features": "All layers have run. The model ends with features in place of an answer.",
        "caption_untrained": "All layers have run. This model's weights are random, so its answer means nothing.",
        "caption_answer_only": "After {layers} layers the answer is {name}, {value}.",
        "caption_unreached": "Layer {layer} compares other tokens: {token} is not one of them.",
        "caption_brush": "Draw over the photograph to hide patches from the model.",
        "caption_hiding": "Patches hidden: {hidden}. The model reads what is left.",
        "caption_hidden": "{hidden} of {count} patches hidden: {name}, {value}. The whole photograph: {whole_name}, {whole_value}.",
        "note_right": "The model was trained to be read after its last layer. Read after layer {layer}, the first name is right for {share}% of the measured photographs.",
        "note_right_last": "The first name is right for {share}% of the measured photographs.",
        "note_last": "Read after the last layer, as the model was trained.",
        "note_lens": "The model was trained to be read after its last layer. What earlier layers seem to say can mislead.",
        "note_hidden": "{hidden} of {count} patches hidden. The thin mark is the value for the whole photograph.",
    },
    "vitviz.analysis.prediction.logit_lens",
    "vitviz.analysis.attention.query_weights",
)
