import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import Gguf2OllamaError, InvalidShards, NotFound, UsageProblem
from gguf2ollama.ggufio import shard_name
from gguf2ollama.sources.gguf_files import Kind, RepositoryFile
from gguf2ollama.sources.quantization import bits_of, find_quant, fold_quant, without_quant
from gguf2ollama.sources.selection import Catalogue
from tests.fakes.hub_repositories import KNOWN, MB, MRADERMACHER, QWEN, UNSLOTH


def catalogue(files):
    sizes = files if isinstance(files, dict) else dict.fromkeys(files, MB)
    return Catalogue.of(
        [RepositoryFile(path=path, size=size) for path, size in sizes.items()], repository="owner/repo"
    )


def anything_fits(_):
    return True


def choose(files, *, fits=anything_fits, **wanted):
    return catalogue(files).choose(fits=fits, **wanted)


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
            *((name, None) for name in ("AVQ2", "Qwen2", "model", "Q9_K", "IQ200", "Q4KM", "FQ4_0", "Q4_KM")),
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
        assert find_quant(without_quant(text)) is None or quant is not None

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

    def test_what_is_no_model_is_told_by_its_name(self):
        kinds = {
            one.name: one.kind
            for one in catalogue(
                [
                    "mmproj-F16.gguf",
                    "model.imatrix.gguf",
                    "model-imatrix-Q4_K_M.gguf",
                    "MTP/model-MTP-Q8_0.gguf",
                    "model-draft-Q8_0.gguf",
                    "model-lora-f16.gguf",
                    "ggml-vocab-llama.gguf",
                    "model-Q8_0.gguf.part1of2",
                    "model-Q8_0.gguf.part2of2",
                    "README.md",
                ]
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
            "model-Q8_0": Kind.PIECES,
        }

    def test_a_word_that_all_models_have_is_part_of_their_name(self):
        assert {one.kind for one in catalogue(["A-MTP-Q4_K_M.gguf", "A-MTP-Q8_0.gguf"]).variants} == {
            Kind.MODEL
        }

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
                choice = found.choose(fits=anything_fits, **wanted)
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
            choose(QWEN, quant="q4_k")
        assert "'q4_k'" in error.value.message
        assert "Q4_K_M" in (error.value.hint or "")

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

    def test_pieces_are_told_from_shards(self):
        with pytest.raises(UsageProblem, match="2 pieces"):
            choose(MRADERMACHER, quant="Q6_K")

    def test_the_usual_one_is_taken_when_it_fits(self):
        assert choose(QWEN).variant.quant == "Q4_K_M"
        assert choose(QWEN, fits=lambda _: None).reason == "the usual one"
        assert choose(MRADERMACHER).variant.quant == "i1-Q4_K_M"

    def test_a_smaller_one_is_taken_when_the_usual_does_not_fit(self):
        chosen = choose(QWEN, fits=lambda count: count < 4000 * MB)
        assert chosen.variant.quant == "Q3_K_M"
        assert "Q4_K_M does not" in chosen.reason

    def test_the_smallest_is_taken_when_none_fits(self):
        assert choose(QWEN, fits=lambda _: False).variant.quant == "Q2_K"

    def test_without_four_bits_the_next_above_is_taken(self):
        assert choose({"a-Q8_0.gguf": 8, "a-F16.gguf": 16, "a-Q2_K.gguf": 2}).variant.quant == "Q8_0"

    @pytest.mark.parametrize("files", [[], ["README.md", "model.safetensors"]])
    def test_a_repository_without_gguf_says_so(self, files):
        with pytest.raises(NotFound, match="has no GGUF file"):
            choose(files)

    def test_a_repository_without_a_model_says_what_there_is(self):
        with pytest.raises(NotFound, match=r"mmproj-F16\.gguf \(projector\)"):
            choose(["mmproj-F16.gguf"])

    def test_the_projector_of_half_precision_comes_along(self):
        projector = catalogue(UNSLOTH).projector
        assert projector is not None
        assert projector.name == "mmproj-F16"
        assert catalogue(["a-7b-Q4_0.gguf", "b-7b-Q4_0.gguf", "mmproj-F16.gguf"]).projector is None
