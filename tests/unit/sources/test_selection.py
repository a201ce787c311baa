import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import Gguf2OllamaError, InvalidShards, NotFound, UsageProblem
from gguf2ollama.ggufio import shard_name
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile
from gguf2ollama.sources.catalogue.quantization import bits_of, find_quant, fold_quant
from gguf2ollama.sources.catalogue.selection import Catalogue
from tests.fakes.hub_repositories import KNOWN, MB, MRADERMACHER, QWEN, UNSLOTH


def catalogue(files):
    sizes = files if isinstance(files, dict) else dict.fromkeys(files, MB)
    return Catalogue.of(
        [RepositoryFile(path=path, size=size) for path, size in sizes.items()], repository="owner/repo"
    )


def in_ram(_):
    return "ram"


def choose(files, *, place=in_ram, **wanted):
    return catalogue(files).choose(place=place, **wanted)


def placed(*, gpu=0, ram=0):
    """Return where models run on a machine with so many MB for them, as a function of the model."""

    def place(variant):
        if variant.n_bytes <= gpu * MB:
            return "gpu"
        if variant.n_bytes > (gpu + ram) * MB:
            return "none"
        return "split" if gpu else "ram"

    return place


def paths(choice):
    return [file.path for file in choice.variant.files]


class TestQuantNames:
    @pytest.mark.parametrize(
        "name,quant",
        [
            ("model-Q4_K_M", "Q4_K_M"),
            ("qwen2.5-7b-instruct-q4_k_m", "Q4_K_M"),
            ("gemma-3-27b-it-UD-Q4_K_XL", "UD-Q4_K_XL"),
            ("Meta-Llama-3-70B.i1-IQ3_XXS", "i1-IQ3_XXS"),
            ("gpt-oss-120b-mxfp4", "MXFP4"),
            ("gpt-oss-20b-MXFP4_MOE", "MXFP4_MOE"),
            ("Nemotron-NVFP4", "NVFP4"),
            ("model.bf16", "BF16"),
            ("ggml-model-f16", "F16"),
            ("DeepSeek-R1-UD-TQ1_0", "UD-TQ1_0"),
            ("Phi-3-mini-4k-instruct-q4", "Q4"),
            ("gemma-2b-Q4_0_4_8", "Q4_0_4_8"),
            ("GLM-IQ4_KSS", "IQ4_KSS"),
            ("model-Q4_K_R4", "Q4_K_R4"),
            ("model-F16-Q6_K", "Q6_K"),
            ("Qwen3.8-27B-Q4_K_P", "Q4_K_P"),
            ("Kimi-K2.5-Q4_X", "Q4_X"),
            ("Qwen3-4B-bf16_q8_0", "BF16_Q8_0"),
            ("GLM-4.7-Flash-MXFP4_MOE_BF16", "MXFP4_MOE_BF16"),
            ("Qwen3.6-27B-GGUF-4.256bpw-imatrix", "4.256bpw"),
            ("sakura-14b-iq4xs", "IQ4XS"),
            ("gemma-4-26B_q4_0-it", "Q4_0"),
            ("ggml-model-i2_s", "I2_S"),
            ("moondream2-text-model-f16_ct-vicuna", "F16"),
            ("MoE-Q4_K_whatever", "Q4_K"),
            *((name, None) for name in ("AVQ2", "Qwen2", "model", "Q9_K", "IQ200", "FQ4_0", "Q3.5-9B")),
        ],
    )
    def test_a_quantization_is_a_whole_word(self, name, quant):
        assert find_quant(name) == quant

    def test_fp16_is_f16(self):
        assert fold_quant("fp16") == fold_quant("F16")

    @pytest.mark.parametrize("quant,bits", [("IQ4_XS", 4), ("BF16", 16), ("UD-Q2_K_XL", 2), ("i1-Q6_K", 6)])
    def test_the_name_tells_the_bits(self, quant, bits):
        assert bits_of(quant) == bits

    @given(st.text(max_size=60))
    def test_any_name_is_read(self, text):
        quant = find_quant(text)
        assert quant is None or find_quant(quant) == quant

    @given(st.sampled_from(["Q4_K_M", "UD-Q4_K_XL", "i1-IQ3_XXS", "MXFP4", "BF16"]), st.data())
    def test_case_does_not_matter_and_letters_before_do(self, quant, data):
        any_case = "".join(data.draw(st.sampled_from([char.upper(), char.lower()])) for char in quant)
        assert fold_quant(find_quant(f"model-{any_case}") or "") == fold_quant(quant)
        assert find_quant(f"modelX{quant.removeprefix('UD-').removeprefix('i1-')}") is None


class TestGrouping:
    @pytest.mark.parametrize("name", KNOWN)
    def test_every_model_of_known_repositories_is_whole_and_has_a_quantization(self, name):
        found = catalogue(dict(KNOWN[name]))

        assert found.models
        assert all(one.quant and not one.missing for one in found.models)
        assert len({one.base for one in found.models}) == 1
        ggufs = sum(".gguf" in path for path in KNOWN[name])
        assert sum(len(one.files) for one in found.variants) == ggufs

    def test_a_word_says_what_a_file_is_for_where_others_do_without_it(self):
        kinds = {
            variant.name: variant.kind
            for variant in catalogue(
                {
                    "mmproj-F16.gguf": 900 * MB,
                    "model.imatrix.gguf": 5 * MB,
                    "model-imatrix-Q4_K_M.gguf": 4800 * MB,
                    "MTP/model-MTP-Q8_0.gguf": 400 * MB,
                    "model-draft-Q8_0.gguf": 600 * MB,
                    "model-lora-f16.gguf": 80 * MB,
                    "ggml-vocab-llama.gguf": MB,
                    "model-Q8_0.gguf.part1of2": 5000 * MB,
                    "model-Q8_0.gguf.part2of2": 3500 * MB,
                    "README.md": 1,
                }
            ).variants
        }
        assert kinds == {
            "mmproj-F16": Kind.PROJECTOR,
            "model.imatrix": Kind.IMATRIX,
            "model-imatrix-Q4_K_M": Kind.MODEL,
            "MTP/model-MTP-Q8_0": Kind.MTP,
            "model-draft-Q8_0": Kind.DRAFT,
            "model-lora-f16": Kind.ADAPTER,
            "ggml-vocab-llama": Kind.VOCABULARY,
            "model-Q8_0": Kind.MODEL,
        }

    @pytest.mark.parametrize(
        "word", ["MTP", "draft", "lora-merged", "adapter", "vocab-extended", "tokenizer"]
    )
    def test_a_word_that_all_models_have_is_part_of_their_name(self, word):
        found = catalogue([f"A-{word}-Q4_K_M.gguf", f"A-{word}-Q8_0.gguf"]).variants
        assert {variant.kind for variant in found} == {Kind.MODEL}

    @pytest.mark.parametrize("word", ["MTP", "lora-merged", "adapter", "vocab-extended", "tokenizer"])
    def test_a_file_with_the_weights_of_its_siblings_is_a_model_whatever_its_name(self, word):
        found = catalogue({"A-7B-Q8_0.gguf": 7600 * MB, f"A-7B-{word}-Q4_K_M.gguf": 4400 * MB})
        assert len(found.models) == 2

    def test_an_adapter_in_a_type_that_converters_write_is_open(self):
        (adapter,) = catalogue(["myLora2-f16.gguf"]).variants
        assert adapter.kind is Kind.ADAPTER
        assert adapter.needs_header

    def test_a_file_of_a_fraction_of_the_weights_is_a_companion(self):
        found = catalogue(
            {
                "A-Q4_K_M.gguf": 4700 * MB,
                "A-F16.gguf": 15_300 * MB,
                "vision/A-vision-F16.gguf": 1000 * MB,
                "tts/A-tts-F16.gguf": 1100 * MB,
                "voice/flow.gguf": 400 * MB,
            }
        )
        assert {
            variant.name: variant.kind for variant in found.variants if variant.kind is not Kind.MODEL
        } == {
            "vision/A-vision-F16": Kind.PROJECTOR,
            "tts/A-tts-F16": Kind.COMPONENT,
            "voice/flow": Kind.COMPONENT,
        }

    def test_a_head_and_a_decoder_with_the_names_of_the_model_are_companions(self):
        found = catalogue(
            {
                "A-audio-1.5B-Q8_0.gguf": 1250 * MB,
                "mmproj-audioencoder-A-audio-1.5B-Q8_0.gguf": 330 * MB,
                "audiodecoder-A-audio-1.5B-Q8_0.gguf": 375 * MB,
                "A-audio-1.5B-MTP-Q4_K_M.gguf": 800 * MB,
                "mtp/A-audio-1.5B-MTP-head-Q8_0.gguf": 60 * MB,
            }
        )
        assert {variant.name: variant.kind for variant in found.variants} == {
            "A-audio-1.5B-Q8_0": Kind.MODEL,
            "mmproj-audioencoder-A-audio-1.5B-Q8_0": Kind.PROJECTOR,
            "audiodecoder-A-audio-1.5B-Q8_0": Kind.COMPONENT,
            "A-audio-1.5B-MTP-Q4_K_M": Kind.MODEL,
            "mtp/A-audio-1.5B-MTP-head-Q8_0": Kind.MTP,
        }

    @pytest.mark.slow
    def test_thousands_of_files_are_sorted_with_few_comparisons(self):
        found = catalogue([f"voice-{number}-medium.gguf" for number in range(20_000)])
        assert len(found.models) == 20_000

    def test_models_that_state_their_sizes_are_models_however_small(self):
        found = catalogue({"A-0.6B-Q8_0.gguf": 640 * MB, "A-32B-Q8_0.gguf": 34_000 * MB})
        assert len(found.models) == 2

    def test_the_header_decides_for_all_files_of_a_name(self):
        files = [RepositoryFile(path=f"x/model-{quant}.gguf", size=MB) for quant in ("q8_0", "f16")]
        found = Catalogue.of(files, repository="o/r", kinds={"x/model-q8_0": Kind.ADAPTER})
        assert {variant.kind for variant in found.variants} == {Kind.ADAPTER}

    def test_hidden_files_are_passed_over(self):
        assert [
            variant.name for variant in catalogue(["._m-Q4_0.gguf", "m-Q4_0.gguf", ".x/a.gguf"]).variants
        ] == ["m-Q4_0"]

    def test_split_before_the_number_of_a_shard_is_not_part_of_the_name(self):
        (model,) = catalogue([f"Grok-Q2_K-split-0000{no}-of-00002.gguf" for no in (1, 2)]).models
        assert (model.name, model.quant, len(model.files)) == ("Grok-Q2_K", "Q2_K", 2)

    def test_files_without_a_name_are_of_the_only_model_that_has_one(self):
        sizes = {"Q2_K": 3014, "Q4_K_M": 4681, "Q8_0": 8097}  # openbmb/MiniCPM-V-2_6-gguf
        files = {f"ggml-model-{quant}.gguf": size * MB for quant, size in sizes.items()}
        found = catalogue(files | {"Model-7.6B-F16.gguf": 15_237 * MB, "mmproj-model-f16.gguf": 1044 * MB})
        assert [model.quant for model in found.models] == [*sizes, "F16"]
        choice = found.choose(place=lambda _: "ram")
        assert choice.variant.name == "ggml-model-Q4_K_M"
        assert found.projector_of(choice.variant).projector.name == "mmproj-model-f16"

    def test_files_without_a_name_are_a_model_of_their_own_beside_one_of_another_size(self):
        found = catalogue({"ggml-model-Q4_0.gguf": 4000 * MB, "Phi-2-Q4_0.gguf": 1600 * MB})
        assert len({model.base for model in found.models}) == 2

    def test_bits_are_a_label(self):
        found = catalogue([f"m-{bits}.gguf" for bits in ("2bit", "4-bit", "8bit")])
        assert found.choose(place=lambda _: "ram").variant.name == "m-4-bit"
        assert found.choose(quant="4bit", place=lambda _: "ram").variant.name == "m-4-bit"

    def test_a_label_in_capitals_may_follow_right_behind_the_name(self):
        names = [f"devstral{quant}.gguf" for quant in ("Q4_K_M", "Q5_K_M", "Q8_0", "F16")]  # mistralai's
        found = catalogue(names)
        assert [model.quant for model in found.models] == ["F16", "Q4_K_M", "Q5_K_M", "Q8_0"]
        assert found.choose(place=lambda _: "ram").variant.name == "devstralQ4_K_M"

    @pytest.mark.parametrize(
        "form", ["Grok-Q2_K-{}-of-3.gguf", "Grok-Q2_K.part-0{}-of-03.gguf", "Grok-Q2_K-0000{}-of-00003.GGUF"]
    )
    def test_shards_numbered_otherwise_than_llama_cpp_does_are_one_set(self, form):
        (model,) = catalogue([form.format(no) for no in (3, 1, 2)]).models
        assert (model.name, model.quant) == ("Grok-Q2_K", "Q2_K")
        assert [file.path for file in model.files] == [form.format(no) for no in (1, 2, 3)]
        (broken,) = catalogue([form.format(no) for no in (1, 3)]).models
        assert broken.missing == (form.format(2),)

    @pytest.mark.parametrize(
        "endings",
        [
            [f".part{no}of12" for no in range(1, 13)],
            [f".part{no}" for no in range(1, 13)],
            [f"-split-{letter}" for letter in "abcdefghijkl"],
            [f".{no:03d}" for no in range(12)],
            [f".a{letter}" for letter in "abcdefghijkl"],
        ],
    )
    def test_pieces_are_in_the_order_of_their_numbers(self, endings):
        (model,) = catalogue([f"m-Q6_K.gguf{ending}" for ending in reversed(endings)]).models
        assert model.is_cut
        assert [file.path for file in model.files] == [f"m-Q6_K.gguf{ending}" for ending in endings]
        without = endings[:5] + endings[6:]
        (broken,) = catalogue([f"m-Q6_K.gguf{ending}" for ending in without]).models
        assert broken.missing == (f"m-Q6_K.gguf{endings[5]}",)

    @given(
        st.lists(
            st.tuples(
                st.text(alphabet="aB1q4_-. /(éM", min_size=1, max_size=20),
                st.sampled_from(
                    [".gguf", ".gguf.part1", ".gguf-split-a", ".gguf.aa", "-00001-of-00002.gguf", ".bin"]
                ),
                st.integers(0, 1 << 40),
            ),
            max_size=12,
            unique_by=lambda part: part[0] + part[1],
        )
    )
    def test_any_names_are_sorted_and_no_file_is_in_two_variants(self, parts):
        files = [RepositoryFile(path=name + ending, size=size) for name, ending, size in parts]
        found = Catalogue.of(files, repository="o/r")
        sorted_in = [file for variant in found.variants for file in variant.files]
        assert len(sorted_in) == len(set(sorted_in))
        assert set(sorted_in) <= set(files)
        for model in found.models:
            found.projector_of(model)

    @pytest.mark.parametrize("ending", [".md", ".sha256", ".bak", ".incomplete", ".2024", ".old"])
    def test_other_endings_are_not_pieces(self, ending):
        assert not catalogue([f"m-Q6_K.gguf{ending}"]).variants

    def test_shards_of_one_name_in_two_folders_are_two_sets(self):
        found = catalogue(
            [f"{folder}/m-0000{no}-of-00002.gguf" for folder in ("Q4_K_M", "Q8_0") for no in (1, 2)]
        )
        assert sorted((one.quant, len(one.files)) for one in found.models) == [("Q4_K_M", 2), ("Q8_0", 2)]

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["", "a/", "Q8_0/"]),
                st.sampled_from(["m-Q4_K_M", "m-q8_0", "mmproj-F16", "AVQ2"]),
                st.integers(0, 4),
                st.integers(0, 3),
            ),
            max_size=12,
            unique=True,
        )
    )
    def test_every_file_is_in_one_variant_and_every_choice_is_whole(self, parts):
        names = [
            folder + (shard_name(stem, no=no, count=count) if count else f"{stem}.gguf")
            for folder, stem, count, no in parts
            if no < max(count, 1)
        ]
        found = catalogue(names)

        assert sorted(file.path for one in found.variants for file in one.files) == sorted(set(names))
        for one in found.variants:
            wanted = {"quant": one.quant} if one.quant else {"file": one.files[0].path}
            try:
                choice = found.choose(place=in_ram, **wanted)
            except Gguf2OllamaError:
                continue
            assert not choice.variant.missing


class TestChoice:
    @pytest.mark.parametrize("quant", ["q4_k_m", "Q4_K_M", "q4_K_m"])
    def test_shards_come_in_order(self, quant):
        assert paths(choose(QWEN, quant=quant)) == [
            "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf",
            "qwen2.5-7b-instruct-q4_k_m-00002-of-00002.gguf",
        ]

    def test_the_written_mark_goes_before_the_one_left_out(self):
        assert choose(UNSLOTH, quant="ud-q4_k_xl").variant.quant == "UD-Q4_K_XL"
        assert choose(UNSLOTH, quant="Q4_K_XL").variant.quant == "UD-Q4_K_XL"
        assert choose(["a-Q2_K.gguf", "a-UD-Q2_K.gguf"], quant="Q2_K").variant.name == "a-Q2_K"
        assert choose(MRADERMACHER, quant="iq3_xxs").variant.quant == "i1-IQ3_XXS"

    def test_no_match_names_what_there_is(self):
        with pytest.raises(NotFound) as error:
            choose(QWEN, quant="iq4_xs")
        assert "'iq4_xs'" in error.value.message
        assert "Q4_K_M" in (error.value.hint or "")

    @pytest.mark.parametrize(
        "quant,file",
        [
            ("Q4_K_P", "H-Aggressive-Q4_K_P.gguf"),
            ("q4_k", "H-Aggressive-Q4_K_P.gguf"),
            ("iq4xs", "H-Aggressive-IQ4_XS.gguf"),
            ("I-Compact", "H-Aggressive-I-Compact.gguf"),
            ("compact", "H-Aggressive-Compact.gguf"),
            ("bf16_q8_0", "H-Aggressive-bf16_q8_0.gguf"),
            ("q8_0", "H-Aggressive-q8_0.gguf"),
            ("MXFP4_MOE_BF16", "H-Aggressive-MXFP4_MOE_BF16.gguf"),
            ("4.256bpw", "H-Aggressive-4.256bpw.gguf"),
            ("max-q6_k", "H-max-Aggressive-Q6_K.gguf"),
            ("q6_k", "H-Aggressive-Q6_K.gguf"),
        ],
    )
    def test_the_text_in_the_name_is_what_a_model_is_asked_for_by(self, quant, file):
        labels = ["Q4_K_P", "IQ4_XS", "I-Compact", "Compact", "bf16_q8_0", "q8_0", "MXFP4_MOE_BF16"]
        labels += ["MXFP4_MOE", "4.256bpw", "Q6_K"]
        files = [f"H-Aggressive-{label}.gguf" for label in labels] + ["H-max-Aggressive-Q6_K.gguf"]
        assert paths(choose(files, quant=quant)) == [file]

    def test_words_that_several_names_have_are_a_list_to_choose_from(self):
        with pytest.raises(UsageProblem, match="2 models of coder"):
            choose(["a-coder-7b-Q4_0.gguf", "a-coder-13b-Q4_0.gguf"], quant="coder")

    def test_a_label_that_names_no_bits_counts_by_bits_per_weight(self):
        sizes = {"Balanced": 23_900, "Compact": 16_100, "Mini": 13_300, "Quality": 21_300}
        files = {f"Qwen3.6-35B-A3B-APEX-{label}.gguf": size * MB for label, size in sizes.items()}
        assert choose(files).variant.quant == "Quality"

    def test_what_is_in_the_root_goes_before_a_folder(self):
        files = ["A-Q4_K_M.gguf", "Experimental/A-Q4_K_M.gguf"]
        assert paths(choose(files)) == paths(choose(files, quant="q4_k_m")) == ["A-Q4_K_M.gguf"]
        assert paths(choose(files, file=files[1])) == [files[1]]

    def test_several_of_a_quantization_are_a_list_to_choose_from(self):
        with pytest.raises(UsageProblem) as error:
            choose(["a-7b-Q4_K_M.gguf", "a-13b-Q4_K_M.gguf"], quant="Q4_K_M")
        assert "a-13b-Q4_K_M.gguf" in error.value.message
        assert "--file" in (error.value.hint or "")

    def test_several_models_are_never_guessed_at(self):
        with pytest.raises(UsageProblem, match="2 models"):
            choose(["a-7b-Q4_K_M.gguf", "a-13b-Q8_0.gguf"])

    @pytest.mark.parametrize(
        "file",
        [
            "UD-Q2_K_XL",
            "UD-Q2_K_XL/",
            "UD-Q2_K_XL/DeepSeek-R1-UD-Q2_K_XL-00003-of-00005.gguf",
            "DeepSeek-R1-UD-Q2_K_XL-00001-of-00005.gguf",
        ],
    )
    def test_a_folder_or_any_shard_names_the_model(self, file):
        assert len(choose(dict(KNOWN["unsloth/DeepSeek-R1-GGUF-UD"]), file=file).variant.files) == 5

    def test_a_shard_that_the_repository_lacks_is_named(self):
        with pytest.raises(InvalidShards, match=r"m-Q8_0-00002-of-00003\.gguf"):
            choose(["m-Q8_0-00001-of-00003.gguf", "m-Q8_0-00003-of-00003.gguf"], quant="q8_0")

    def test_pieces_are_a_model_like_any_other(self):
        chosen = choose(MRADERMACHER, quant="Q6_K").variant
        assert chosen.is_cut
        assert len(chosen.files) == 2

    def test_the_usual_one_is_taken_when_it_fits(self):
        assert choose(QWEN).variant.quant == "Q4_K_M"
        assert choose(QWEN, place=lambda _: None).reason == "the usual one"
        assert choose(MRADERMACHER).variant.quant == "i1-Q4_K_M"

    def test_a_smaller_one_is_taken_when_the_usual_does_not_fit(self):
        chosen = choose(QWEN, place=placed(ram=4000))
        assert chosen.variant.quant == "Q3_K_M"
        assert "Q4_K_M does not" in chosen.reason

    def test_the_smallest_is_taken_when_none_fits(self):
        assert choose(QWEN, place=lambda _: "none").variant.quant == "Q2_K"

    def test_the_usual_one_on_the_gpu_needs_no_other(self):
        chosen = choose(QWEN, place=placed(gpu=5000, ram=5000))
        assert (chosen.variant.quant, "all of it fits this machine's GPU" in chosen.reason) == (
            "Q4_K_M",
            True,
        )

    def test_one_that_runs_wholly_on_the_gpu_goes_before_the_usual_one_partly_there(self):
        chosen = choose(QWEN, place=placed(gpu=4000, ram=20_000))
        assert chosen.variant.quant == "Q3_K_M"
        assert "GPU, which Q4_K_M does not" in chosen.reason

    def test_two_bits_are_not_taken_for_the_sake_of_the_gpu(self):
        chosen = choose(QWEN, place=placed(gpu=3100, ram=20_000))
        assert (chosen.variant.quant, chosen.reason) == (
            "Q4_K_M",
            "the usual one, and it fits this machine's memory, partly its GPU",
        )

    def test_without_four_bits_the_next_above_is_taken(self):
        assert choose({"a-Q8_0.gguf": 8, "a-F16.gguf": 16, "a-Q2_K.gguf": 2}).variant.quant == "Q8_0"

    @pytest.mark.parametrize("files", [[], ["README.md", "model.safetensors"]])
    def test_a_repository_without_gguf_says_so(self, files):
        with pytest.raises(NotFound, match="has no GGUF file"):
            choose(files)

    def test_a_repository_without_a_model_says_what_there_is(self):
        with pytest.raises(NotFound, match=r"mmproj-F16\.gguf \(projector\)"):
            choose(["mmproj-F16.gguf"])


class TestProjector:
    @pytest.mark.parametrize(
        "files,model,projector",
        [
            # of several precisions, and whatever its name where there is one model
            (UNSLOTH, "gemma-3-27b-it-Q4_0.gguf", "mmproj-F16.gguf"),
            (["X-Q4_0.gguf", "mmproj-Base-7B-f16.gguf"], "X-Q4_0.gguf", "mmproj-Base-7B-f16.gguf"),
            (
                ["m-Q4_0.gguf", "m.mmproj-Q8_0.gguf", "m.mmproj-bf16.gguf"],
                "m-Q4_0.gguf",
                "m.mmproj-bf16.gguf",
            ),
            # for images before one for audio
            (
                ["m-Q4_0.gguf", "mmproj-m-audio-F16.gguf", "mmproj-m-vision-Q8_0.gguf"],
                "m-Q4_0.gguf",
                "mmproj-m-vision-Q8_0.gguf",
            ),
            # that of the model's name, where there are several models
            (
                ["a-7b-Q4_0.gguf", "b-7b-Q4_0.gguf", "mmproj-b-7b-F16.gguf"],
                "b-7b-Q4_0.gguf",
                "mmproj-b-7b-F16.gguf",
            ),
            (["a-7b-Q4_0.gguf", "b-7b-Q4_0.gguf", "mmproj-b-7b-F16.gguf"], "a-7b-Q4_0.gguf", None),
            # that of its folder
            (
                ["a/a-7b-Q4_0.gguf", "a/mmproj-F16.gguf", "b/b-7b-Q4_0.gguf", "b/mmproj-F16.gguf"],
                "b/b-7b-Q4_0.gguf",
                "b/mmproj-F16.gguf",
            ),
            (
                ["enhancer/e-Q8_0.gguf", "enhancer/mmproj-BF16.gguf"],
                "enhancer/e-Q8_0.gguf",
                "enhancer/mmproj-BF16.gguf",
            ),
            # of other builds of the model
            (["m-Q4_0.gguf", "m-max-Q4_0.gguf", "mmproj-F16.gguf"], "m-max-Q4_0.gguf", "mmproj-F16.gguf"),
        ],
    )
    def test_it_goes_with_its_model(self, files, model, projector):
        found = catalogue(files)
        chosen = found.projector_of(found.choose(file=model, place=lambda _: None).variant)
        assert (chosen.projector.files[0].path if chosen.projector else None) == projector
        assert chosen.warning is None

    def test_what_else_could_be_taken_is_said(self):
        found = catalogue(["m-Q4_0.gguf", "mmproj-F32.gguf", "mmproj-F16.gguf"])
        note = found.projector_of(found.models[0]).note
        assert "mmproj-F16.gguf" in note
        assert "--mmproj FILE takes another (mmproj-F32.gguf" in note
        assert "--no-mmproj" in note

    def test_one_that_may_be_of_another_model_is_left_out_with_a_warning(self):
        found = catalogue(["a-7b-Q4_0.gguf", "b-7b-Q4_0.gguf", "mmproj-F16.gguf"])
        chosen = found.projector_of(found.models[0])
        assert chosen.projector is None
        assert "mmproj-F16.gguf" in chosen.warning
        assert "--mmproj" in chosen.warning
