"""Words of the start page."""

from __future__ import annotations

from vitviz.ui.text.sentences import computed, definition, instruction

TITLE = instruction("Start")
HEADING = instruction("How a Vision Transformer reads a photograph")
PYTHON = instruction("The same in Python")

NO_POSITIONS = definition("No position is added to the patches of this model.")
OWN_TITLE = instruction("Your own photograph")
OWN_ALT = definition("Your own photograph.")
OUTSIDE = definition("not among the classes of the embedded model")

# What the figure says. {names} are filled in the browser from the numbers on the screen.
JOURNEY = instruction(
    {
        "photo_title": "Photograph",
        "line_title": "Its patches, in a row",
        "pixels": "pixels",
        "pixels_title": "Pixels of {patch}",
        "curve_back": "all classes",
        "heads_title": "Layer {layer}, head by head",
        "answer_title": "The answer",
        "answer_waits": "All layers have run. The next step shows the answer.",
        "answer_empty": "The answer is shown after the layers have run.",
        "features_title": "The features",
        "layers_title": "The layers",
        "layers_heading": "Where {token} looks, layer by layer",
        "layers_heading_short": "Where {token} looks",
        "patch_short": "row {row}, column {col}",
        "gallery": "Choose a photograph",
        "upload": "your photo",
        "camera": "camera",
        "camera_label": "What the camera sees",
        "camera_take": "Take photo",
        "camera_close": "Cancel",
        "camera_failed": "The camera cannot be used: {reason}.",
        "camera_denied": "the browser was not allowed to use it",
        "camera_none": "no camera was found",
        "camera_busy": "another program is using it",
        "upload_reading": "Your photograph is being read.",
        "upload_failed": "This photograph could not be used: {reason}.",
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
        "scrub": "Step of the figure",
        "speed": "Speed",
        "open": "{page} ›",
        "cell_patches": "patches",
        "cell_positions": "positions",
        "layer": "layer {layer}",
        "finished": "all layers have run",
        "legend_low": "{share}",
        "legend_high": "≥ {share}",
        "photo_label": instruction(
            "{alt} Arrow keys choose a patch, Enter holds it, Escape releases it.", when="keyboard"
        ),
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
        "patch_hidden": "{patch}: hidden",
        "patch_shown": "{patch}: not hidden",
        "features_label": "The features of the last layer: their first three principal components as red, green and blue.",
        "reason_network": "no connection",
        "reason_gone": "no longer on the server",
        "reason_server": "the server answers with the error {status}",
        "reason_damaged": "the data cannot be read",
    }
) | computed(
    {
        "pixels_note": "{high} × {wide} pixels, {numbers} numbers",
        "curve_title": "{name}: {value}",
        "curve_layer": "after layer {layer} {value}",
        "curve_input": "before the first layer {value}",
        "answer_after": "After layer {layer}",
        "features_note": "This model has no classifier. Its output is a vector of features. The colours are three principal components.",
        "untrained_note": "This model's weights are random. It has learned nothing, so there is no answer to read.",
        "caption_layer": "Layer {layer}: {token} takes more from {target} ({share}) than from any other patch.",
        "caption_itself": "Layer {layer}: {token} takes more from itself ({share}) than from any other patch.",
        "caption_target": "Layer {layer}: {token} takes {share} from {target}.",
        "caption_loading": "The numbers of layer {layer} are loading.",
        "caption_missing": "The numbers of layer {layer} could not be fetched. The other layers are shown.",
        "caption_answer": "After {layers} layers the answer is {name}, {value}. Hide a part and see whether the answer changes.",
        "caption_doubt": "After {layers} layers, {name} comes first with {value}. The photograph may show none of this model's classes.",
        "caption_features": "All layers have run. The output of this model is a vector of features.",
        "caption_untrained": "All layers have run. This model's weights are random, so its answer means nothing.",
        "caption_answer_only": "After {layers} layers the answer is {name}, {value}.",
        "caption_unreached": "In layer {layer}, {token} is not a query.",
        "caption_brush": "Draw over the photograph to hide patches from the model.",
        "caption_hiding": "Patches hidden: {hidden}. The model gets the rest.",
        "caption_hidden": "{hidden} of {count} patches hidden: {name}, {value}. The whole photograph: {whole_name}, {whole_value}.",
        "note_right": "After layer {layer}, the most probable class is right for {share}% of the measured photographs.",
        "note_right_last": "The most probable class is right for {share}% of the measured photographs.",
        "note_last": "This is the output of the model, after its last layer.",
        "note_lens": "The output layer was trained on tokens of the last layer. Readings after earlier layers can mislead.",
        "note_hidden": "{hidden} of {count} patches hidden. The thin mark is the value for the whole photograph.",
    },
    "vitviz.analysis.prediction.logit_lens",
    "vitviz.analysis.attention.query_weights",
)
