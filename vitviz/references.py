"""The works that the app and its documentation cite: methods, models and findings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Publication:
    """A paper or an article.

    Attributes:
        authors: As cited in a sentence, "Abnar and Zuidema".
        year: Of publication.
        title: In full.
        link: URL of the text.
        place: Equation, section or figure that is cited; empty for the whole work.
    """

    authors: str
    year: int
    title: str
    link: str
    place: str = ""

    @property
    def short(self) -> str:
        """Plain text: "Abnar and Zuidema 2020, arXiv 2005.00928, equation 1"."""
        return ", ".join(
            part for part in (f"{self.authors} {self.year}", self._number or self.link, self.place) if part
        )

    @property
    def markdown(self) -> str:
        """One line with a link: "Abnar and Zuidema 2020, *Quantifying ...*, [arXiv 2005.00928](...), equation 1"."""
        link = f"[{self._number or 'article'}]({self.link})"
        return ", ".join(part for part in (f"{self.authors} {self.year}", f"*{self.title}*", link, self.place) if part)

    @property
    def _number(self) -> str:
        _, arxiv, number = self.link.partition("arxiv.org/abs/")
        return f"arXiv {number}" if arxiv else ""


def _arxiv(authors: str, year: int, title: str, number: str, place: str = "") -> Publication:
    return Publication(authors, year, title, f"https://arxiv.org/abs/{number}", place)


PUBLICATIONS: dict[str, Publication] = {
    # transformers and what they are made of
    "bahdanau": _arxiv(
        "Bahdanau, Cho and Bengio",
        2015,
        "Neural machine translation by jointly learning to align and translate",
        "1409.0473",
        "section 3.1",
    ),
    "vaswani": _arxiv("Vaswani et al.", 2017, "Attention is all you need", "1706.03762", "equation 1"),
    "peters": _arxiv("Peters et al.", 2018, "Deep contextualized word representations", "1802.05365"),
    "dosovitskiy": _arxiv(
        "Dosovitskiy et al.",
        2021,
        "An image is worth 16x16 words: Transformers for image recognition at scale",
        "2010.11929",
        "equations 1 to 4 and figure 7",
    ),
    "elhage": Publication(
        "Elhage et al.",
        2021,
        "A mathematical framework for transformer circuits",
        "https://transformer-circuits.pub/2021/framework/index.html",
        "the residual stream",
    ),
    "layerscale": _arxiv(
        "Touvron et al.",
        2021,
        "Going deeper with image transformers",
        "2103.17239",
        "section 2 (LayerScale), section 3 (class attention)",
    ),
    "set-transformer": _arxiv(
        "Lee et al.", 2019, "Set transformer", "1810.00825", "section 3.2 (pooling by attention)"
    ),
    "map-head": _arxiv("Zhai et al.", 2022, "Scaling vision transformers", "2106.04560", "the MAP head"),
    # positions
    "roformer": _arxiv(
        "Su et al.", 2021, "RoFormer: Enhanced transformer with rotary position embedding", "2104.09864", "equation 16"
    ),
    "heo": _arxiv("Heo et al.", 2024, "Rotary position embedding for vision transformer", "2403.13298", "section 3"),
    "islam": _arxiv(
        "Islam, Jia and Bruce",
        2020,
        "How much position information do convolutional neural networks encode?",
        "2001.08248",
    ),
    "swin": _arxiv(
        "Liu et al.",
        2021,
        "Swin Transformer: Hierarchical vision transformer using shifted windows",
        "2103.14030",
        "equation 4 (relative bias) and section 3.2 (shifted windows)",
    ),
    "swin-v2": _arxiv(
        "Liu et al.", 2022, "Swin Transformer V2: Scaling up capacity and resolution", "2111.09883", "section 3.3"
    ),
    # other forms of attention over pictures
    "maxvit": _arxiv("Tu et al.", 2022, "MaxViT: Multi-axis vision transformer", "2204.01697", "section 3.2"),
    "pvt": _arxiv("Wang et al.", 2021, "Pyramid vision transformer", "2102.12122", "section 3.3 (pooled keys)"),
    "mvit-v2": _arxiv(
        "Li et al.", 2022, "MViTv2: Improved multiscale vision transformers", "2112.01526", "section 4.1"
    ),
    "xcit": _arxiv(
        "El-Nouby et al.",
        2021,
        "XCiT: Cross-covariance image transformers",
        "2106.09681",
        "section 3 (attention between channels)",
    ),
    "cordonnier": _arxiv(
        "Cordonnier, Loukas and Jaggi",
        2020,
        "On the relationship between self-attention and convolutional layers",
        "1911.03584",
    ),
    # what attention does
    "raghu": _arxiv(
        "Raghu et al.",
        2021,
        "Do vision transformers see like convolutional neural networks?",
        "2108.08810",
        "section 4 (attention distance)",
    ),
    "xiao": _arxiv(
        "Xiao et al.", 2024, "Efficient streaming language models with attention sinks", "2309.17453", "section 3.1"
    ),
    "darcet": _arxiv("Darcet et al.", 2024, "Vision transformers need registers", "2309.16588", "section 2"),
    "kobayashi": _arxiv(
        "Kobayashi et al.",
        2020,
        "Attention is not only a weight: Analyzing transformers with vector norms",
        "2004.10102",
        "section 2",
    ),
    "ethayarajh": _arxiv(
        "Ethayarajh", 2019, "How contextual are contextualized word representations?", "1909.00512", "section 3"
    ),
    "michel": _arxiv(
        "Michel, Levy and Neubig", 2019, "Are sixteen heads really better than one?", "1905.10650", "section 3"
    ),
    "voita": _arxiv(
        "Voita et al.",
        2019,
        "Analyzing multi-head self-attention: Specialized heads do the heavy lifting, the rest can be pruned",
        "1905.09418",
    ),
    "jain": _arxiv("Jain and Wallace", 2019, "Attention is not explanation", "1902.10186"),
    "wiegreffe": _arxiv("Wiegreffe and Pinter", 2019, "Attention is not not explanation", "1908.04626"),
    "naseer": _arxiv(
        "Naseer et al.",
        2021,
        "Intriguing properties of vision transformers",
        "2105.10497",
        "section 3.2 (shape and texture), section 3.3 (shuffled patches)",
    ),
    "geirhos": _arxiv("Geirhos et al.", 2019, "ImageNet-trained CNNs are biased towards texture", "1811.12231"),
    # transformers beside convolutional networks
    "luo": _arxiv(
        "Luo, Li, Urtasun and Zemel",
        2016,
        "Understanding the effective receptive field in deep convolutional neural networks",
        "1701.04128",
        "section 2",
    ),
    "shuffled": _arxiv(
        "Zhang and Zhu",
        2019,
        "Interpreting adversarially trained convolutional neural networks",
        "1905.09797",
        "section 4 (shuffled patches)",
    ),
    "bai": _arxiv("Bai et al.", 2021, "Are transformers more robust than CNNs?", "2111.05464"),
    "pinto": _arxiv(
        "Pinto, Torr and Dokania", 2022, "An impartial take to the CNN vs transformer robustness contest", "2207.11347"
    ),
    "convnext": _arxiv("Liu et al.", 2022, "A ConvNet for the 2020s", "2201.03545", "section 2"),
    "smith": _arxiv("Smith et al.", 2023, "ConvNets match vision transformers at scale", "2310.16764"),
    "tuli": _arxiv(
        "Tuli et al.",
        2021,
        "Are convolutional neural networks or transformers more like human vision?",
        "2105.07197",
    ),
    # reading the layers
    "nostalgebraist": Publication(
        "nostalgebraist",
        2020,
        "interpreting GPT: the logit lens",
        "https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens",
    ),
    "vilas": _arxiv(
        "Vilas, Schaumlöffel and Roig",
        2023,
        "Analyzing vision transformers for image classification in class embedding space",
        "2310.18969",
    ),
    # explanations
    "caron": _arxiv(
        "Caron et al.", 2021, "Emerging properties in self-supervised vision transformers", "2104.14294", "figure 1"
    ),
    "abnar": _arxiv(
        "Abnar and Zuidema", 2020, "Quantifying attention flow in transformers", "2005.00928", "equation 1"
    ),
    "gildenblat": Publication(
        "Gildenblat",
        2020,
        "Exploring explainability for vision transformers",
        "https://jacobgil.github.io/deeplearning/vision-transformer-explainability",
        "fusion by maximum and minimum, and discarding",
    ),
    "chefer": _arxiv(
        "Chefer, Gur and Wolf",
        2021,
        "Generic attention-model explainability for interpreting bi-modal and encoder-decoder transformers",
        "2103.15679",
        "equations 5 and 6",
    ),
    "bousselham": _arxiv(
        "Bousselham et al.",
        2024,
        "LeGrad: An explainability method for vision transformers via feature formation sensitivity",
        "2404.03214",
    ),
    "grad-cam": _arxiv(
        "Selvaraju et al.",
        2017,
        "Grad-CAM: Visual explanations from deep networks via gradient-based localization",
        "1610.02391",
        "equations 1 and 2",
    ),
    "sundararajan": _arxiv(
        "Sundararajan, Taly and Yan", 2017, "Axiomatic attribution for deep networks", "1703.01365", "equation 1"
    ),
    "zeiler": _arxiv(
        "Zeiler and Fergus", 2014, "Visualizing and understanding convolutional networks", "1311.2901", "section 4.2"
    ),
    "petsiuk": _arxiv(
        "Petsiuk, Das and Saenko",
        2018,
        "RISE: Randomized input sampling for explanation of black-box models",
        "1806.07421",
        "section 4 (deletion and insertion)",
    ),
    "adebayo": _arxiv("Adebayo et al.", 2018, "Sanity checks for saliency maps", "1810.03292", "section 3"),
    # out-of-distribution detection
    "hendrycks": _arxiv(
        "Hendrycks and Gimpel",
        2017,
        "A baseline for detecting misclassified and out-of-distribution examples in neural networks",
        "1610.02136",
    ),
    "energy": _arxiv("Liu et al.", 2020, "Energy-based out-of-distribution detection", "2010.03759", "equation 3"),
    "guo": _arxiv("Guo et al.", 2017, "On calibration of modern neural networks", "1706.04599", "equation 9"),
    # models
    "deit": _arxiv(
        "Touvron et al.",
        2021,
        "Training data-efficient image transformers and distillation through attention",
        "2012.12877",
    ),
    "beit": _arxiv("Bao et al.", 2022, "BEiT: BERT pre-training of image transformers", "2106.08254"),
    "mae": _arxiv("He et al.", 2022, "Masked autoencoders are scalable vision learners", "2111.06377", "section 3"),
    "park": _arxiv(
        "Park et al.", 2023, "What do self-supervised vision transformers learn?", "2305.00729", "section 3"
    ),
    "clip": _arxiv(
        "Radford et al.", 2021, "Learning transferable visual models from natural language supervision", "2103.00020"
    ),
    "goh": Publication(
        "Goh et al.",
        2021,
        "Multimodal neurons in artificial neural networks",
        "https://distill.pub/2021/multimodal-neurons/",
    ),
    "siglip-2": _arxiv("Tschannen et al.", 2025, "SigLIP 2: Multilingual vision-language encoders", "2502.14786"),
    "eva-02": _arxiv("Fang et al.", 2023, "EVA-02: A visual representation for neon genesis", "2303.11331"),
    "dinov2": _arxiv("Oquab et al.", 2023, "DINOv2: Learning robust visual features without supervision", "2304.07193"),
    "dinov3": _arxiv("Siméoni et al.", 2025, "DINOv3", "2508.10104"),
    # patch features, and objects found in them
    "amir": _arxiv("Amir et al.", 2021, "Deep ViT features as dense visual descriptors", "2112.05814"),
    "arthur": Publication(
        "Arthur and Vassilvitskii",
        2007,
        "k-means++: The advantages of careful seeding",
        "https://dl.acm.org/doi/10.5555/1283383.1283494",
    ),
    "grady": Publication(
        "Grady", 2006, "Random walks for image segmentation", "https://doi.org/10.1109/TPAMI.2006.233", "section III"
    ),
    "lost": _arxiv(
        "Siméoni et al.", 2021, "Localizing objects with self-supervised transformers and no labels", "2109.14279"
    ),
    "tokencut": _arxiv(
        "Wang et al.",
        2022,
        "Self-supervised transformers for unsupervised object discovery using normalized cut",
        "2202.11539",
    ),
    "shi": Publication(
        "Shi and Malik", 2000, "Normalized cuts and image segmentation", "https://doi.org/10.1109/34.868688"
    ),
    "maskcut": _arxiv(
        "Wang et al.", 2023, "Cut and learn for unsupervised object detection and instance segmentation", "2301.11320"
    ),
    "coco": _arxiv("Lin et al.", 2014, "Microsoft COCO: Common objects in context", "1405.0312"),
    # other tasks than classification
    "detr": _arxiv("Carion et al.", 2020, "End-to-end object detection with transformers", "2005.12872"),
    "conditional-detr": _arxiv("Meng et al.", 2021, "Conditional DETR for fast training convergence", "2108.06152"),
    "yolos": _arxiv(
        "Fang et al.", 2021, "You only look at one sequence: Rethinking transformer in vision", "2106.00666"
    ),
    "vitdet": _arxiv(
        "Li et al.", 2022, "Exploring plain vision transformer backbones for object detection", "2203.16527"
    ),
    "segmenter": _arxiv("Strudel et al.", 2021, "Segmenter: Transformer for semantic segmentation", "2105.05633"),
    "sam": _arxiv("Kirillov et al.", 2023, "Segment anything", "2304.02643"),
}


def publication(key: str) -> Publication:
    """The work with this key. Raises KeyError for an unknown key."""
    return PUBLICATIONS[key]
